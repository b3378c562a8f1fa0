"""What a student should find in the shipped scenarios on limits, slow start, ejection and deadlines.

Seeds are fixed. A tolerance without a formula is of known figures.
"""

from __future__ import annotations

import numpy as np
import pytest

from scenarios import load_scenario
from simulator import Costs, Result, simulate


def simulated(name: str, **changes: str) -> list[Result]:
    """The variants of a shipped scenario, with a proxy that costs nothing."""
    loaded = load_scenario(name, changes)
    return [simulate(variant.scenario, costs=Costs.zero()) for variant in loaded.variants]


def goodput(result: Result) -> float:
    """Good answers a second to the requests of the window."""
    begin, end = result.scenario.window
    return float(np.sum(result.records.within((begin, end)).status == 200)) / (end - begin)


def good_ms(result: Result) -> float:
    """Mean response time of good answers."""
    records = result.records.within(result.scenario.window)
    return float(records.response[records.status == 200].mean()) * 1e3


def test_adaptive_limit() -> None:
    """Vegas keeps nearly all slots busy and the queue short; nobody tells it how many slots there are."""
    capacity, work_ms = 250.0, 40.0
    none, fixed, aimd, vegas = simulated("adaptive-limit", duration="30s")
    assert not none.settled
    assert none.summary.mean_ms > 20 * work_ms
    for limited in (fixed, aimd, vegas):
        assert limited.settled
        assert goodput(limited) >= 0.97 * capacity
    assert good_ms(vegas) < 1.8 * work_ms < good_ms(fixed) < good_ms(aimd)
    assert 0.3 < vegas.summary.error_ratio < 0.36, "a third is refused"


def test_slow_start() -> None:
    cold, warmed = simulated("slow-start")
    assert cold.summary.p95_ms > 20 * warmed.summary.p95_ms
    assert warmed.summary.mean_ms < 1.5 * 20
    back = [float(np.mean(one.records.within((4.0, 5.0)).upstream == 3)) for one in (cold, warmed)]
    assert back[0] > 2 * back[1]


def test_success_rate_ejection() -> None:
    nothing, in_a_row, by_rate = (one.summary.error_ratio for one in simulated("success-rate-ejection"))
    assert nothing == pytest.approx(0.33 / 6, abs=0.015)
    assert in_a_row == pytest.approx(nothing, abs=0.01), "five in a row are rare"
    assert by_rate == 0.0


def test_fan_out_with_deadline() -> None:
    """A deadline alone ends the wait with an error; time for a second try ends it with an answer."""
    whole, deadline, tries = simulated("fan-out-with-deadline", duration="40s")
    assert whole.summary.p99_ms > 400
    assert deadline.summary.p99_ms == pytest.approx(300, abs=2)
    assert deadline.summary.error_ratio > 0.01
    assert tries.summary.p99_ms < 250
    assert tries.summary.error_ratio < 0.002
