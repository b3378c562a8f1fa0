"""What the tests of scenarios share: a small scenario, as plain data, to change."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scenarios import Scenario, parse_scenario

PLAIN: dict[str, Any] = {
    "title": "What do these tests show?",
    "seed": 7,
    "workload": {"users": 4, "think": "exponential(250ms)", "objects": 50, "size": "lognormal(2KiB, 1.0)"},
    "backend": {"web": {"replicas": 3, "service_time": "exponential(30ms)"}},
    "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
}


@pytest.fixture(scope="session")
def plain() -> Callable[[], dict[str, Any]]:
    """A new copy of a small scenario's tables."""
    return lambda: copy.deepcopy(PLAIN)


@pytest.fixture(scope="session")
def scenario() -> Callable[..., Scenario]:
    """`scenario({"seed": 8})`: the small scenario with dotted keys changed; ``None`` takes a key out."""

    def make(changes: Mapping[str, Any] | None = None) -> Scenario:
        return parse_scenario(PLAIN, changes or {}).scenario

    return make
