"""The examples in docstrings say what happens."""

import doctest
import importlib
import pkgutil

import pytest

import scenarios

MODULES = [info.name for info in pkgutil.walk_packages(scenarios.__path__, "scenarios.")]


@pytest.mark.parametrize("module", MODULES)
def test_examples_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


def test_there_are_examples() -> None:
    assert doctest.testmod(importlib.import_module("scenarios.distributions")).attempted >= 1
