"""Links on loopback: clients and backends let their messages be under way as long as the scenario says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from loadtests import Measurement, Stage
from scenarios import Scenario, parse_scenario

Undisturbed = Callable[[Scenario, Callable[[Measurement], object]], Measurement]


def scenario(link: dict[str, str], workload: dict[str, Any]) -> Scenario:
    return parse_scenario(
        {
            "title": "far away", "seed": 5, "duration": "1s", "warmup": "0s",
            "workload": {"objects": 5, **workload},
            "backend": {"web": {"concurrency": 50, "service_time": "5ms"}},
            "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
            "link": link,
        }
    ).scenario  # fmt: skip


@pytest.mark.parametrize(
    ("link", "workload", "least"),
    [
        ({"client": "20ms"}, {"users": 3, "think": "10ms"}, 0.045),
        ({"client": "20ms"}, {"rate": "60/s"}, 0.045),
        ({"backend": "15ms"}, {"users": 3, "think": "10ms"}, 0.035),
        ({"client": "20ms", "backend": "15ms"}, {"users": 3, "think": "10ms"}, 0.075),
    ],
    ids=["client", "client-open", "backend", "both"],
)
def test_a_message_is_under_way_each_way(
    undisturbed: Undisturbed, link: dict[str, str], workload: dict[str, Any], least: float
) -> None:
    def hardly_longer(run: Measurement) -> bool:
        assert len(run.records) > 0
        assert run.records.response.min() > least - 1e-4
        return len(run.records) > 20 and np.percentile(run.records.response, 10) < least + 0.015

    undisturbed(scenario(link, workload), hardly_longer)


def test_nobody_holds_a_slot_while_a_message_is_under_way(stage: Stage) -> None:
    run = stage.measure(scenario({"backend": "15ms"}, {"users": 3, "think": "10ms"}))
    assert run.backends["busy_seconds"] / run.backends["requests"] < 0.01
