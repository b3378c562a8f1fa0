"""The examples in docstrings say what happens."""

import doctest
import importlib
import pkgutil

import pytest

import policies

MODULES = [info.name for info in pkgutil.walk_packages(policies.__path__, "policies.")]


@pytest.mark.parametrize("module", MODULES)
def test_examples_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


def test_there_are_examples() -> None:
    assert "policies.eviction.base" in MODULES
    assert doctest.testmod(importlib.import_module("policies.units")).attempted >= 6
