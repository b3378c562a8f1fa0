"""When clients are served well again after an outage."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios import parse_scenario
from scenarios.recovery import recovery_time


def after(good: list[bool], ended: float = 10.0) -> float | None:
    """Requests every tenth of a second, the first at 0 s."""
    due = np.arange(len(good)) / 10
    return recovery_time(due, np.array(good), ended)


def test_it_is_the_last_failure_of_many() -> None:
    assert after([True] * 100 + [False] * 30 + [True] * 50) == pytest.approx(2.9)


def test_failures_before_the_end_of_the_outage_do_not_count() -> None:
    assert after([False] * 100 + [True] * 50) == 0.0


def test_one_failure_in_twenty_is_well_and_two_are_not() -> None:
    rare = ([False] + [True] * 19) * 5
    assert after([True] * 100 + rare) == 0.0
    assert after([True] * 100 + rare + [False, False] + [True] * 50) == pytest.approx(10.1)


def test_who_is_not_well_at_the_end_has_not_recovered() -> None:
    assert after([True] * 100 + [False] * 100) is None
    assert after([True] * 100 + [True] * 50 + [False] * 5) is None
    assert after([True] * 110) is None, "too few requests to tell"


def test_the_outage_ends_with_the_last_spell() -> None:
    def scenario(**backend: object) -> float | None:
        data = {
            "title": "x", "workload": {"rate": "1/s"}, "backend": {"web": {"replicas": 2, **backend}},
            "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
        }  # fmt: skip
        return parse_scenario(data).scenario.outage_end

    assert scenario() is None
    assert scenario(slow={0: 3.0}) is None
    spells = {"slow": {0: 3.0}, "slow_during": {0: "1s..2s"}, "fail": {1: "1s..4s", 0: "0s..1s"}}
    assert scenario(**spells) == 4.0
