"""Links on loopback: clients and backends let their messages be under way as long as the scenario says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from loadtests import Measurement, Stage
from scenarios import Scenario, parse_scenario


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


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def by_rule(measurement: Measurement) -> list[str]:
    """Reasons that no busy test machine can cause."""
    timing = ("late on average", "late or more", "of its core")
    return [reason for reason in measurement.void if not any(words in reason for words in timing)]


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
    stage: Stage, link: dict[str, str], workload: dict[str, Any], least: float
) -> None:
    run = stage.measure(scenario(link, workload))
    assert by_rule(run) == []
    assert len(run.records) > 20
    assert run.records.response.min() > least - 1e-4
    assert np.percentile(run.records.response, 10) < least + 0.015


def test_nobody_holds_a_slot_while_a_message_is_under_way(stage: Stage) -> None:
    run = stage.measure(scenario({"backend": "15ms"}, {"users": 3, "think": "10ms"}))
    assert run.backends["busy_seconds"] / run.backends["requests"] < 0.01
