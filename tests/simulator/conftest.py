"""Scenarios that queueing theory knows: one service, a proxy and a network that cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scenarios import Scenario, parse_scenario


def bare_scenario(workload: dict[str, Any], backend: dict[str, Any], **more: Any) -> Scenario:
    data = {
        "title": "theory",
        "seed": 11,
        "duration": "100s",
        "warmup": "0s",
        "workload": {"objects": 10, **workload},
        "backend": {"web": backend},
        "proxy": {
            "route": [{"to": "web"}],
            "service": {
                "web": {
                    "upstreams": "web",
                    "balance": more.pop("balance", "round_robin"),
                    "failover": more.pop("failover", True),
                }
            },
            "limits": {"threads": 4096, "answer_timeout": "1d"},
        },
        **more,
    }
    return parse_scenario(data).scenario


@pytest.fixture(name="bare_scenario")
def _bare_scenario() -> Callable[..., Scenario]:
    return bare_scenario
