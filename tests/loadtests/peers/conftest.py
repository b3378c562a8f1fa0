"""A scenario that a peer can be asked for, and what it would be started with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtests.peers.base import Order
from loadtests.peers.registry import sizes_of
from loadtests.run.proxy_files import with_addresses
from scenarios import Scenario, parse_scenario

PORTS = {"web/0": 9001, "web/1": 9002}


@pytest.fixture(scope="session")
def scenario(balancing: dict[str, Any], caching: dict[str, Any]) -> Callable[..., Scenario]:
    """`scenario(key=value)` with dotted keys; with `cached=True` its route caches."""

    def made(changes: dict[str, Any] | None = None, *, cached: bool = False) -> Scenario:
        data = copy.deepcopy(caching if cached else balancing)
        data["compare"] = {}
        data["backend"]["web"]["replicas"] = 2
        return parse_scenario(data, changes or {}).scenario

    return made


@pytest.fixture(scope="session")
def order() -> Callable[[Scenario], Order]:
    def made(asked: Scenario) -> Order:
        settings = with_addresses(asked.chain[0], PORTS)
        return Order(settings, list(sizes_of(asked)()) or [300], Path("/run/peer"), 8080)

    return made
