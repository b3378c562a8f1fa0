"""What a watched request costs the model, counted in Python calls: no clock, so no noise."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from benchmarks.watched import WATCHED, scenario_of
from simulator import Costs
from simulator.replication import simulate_once

HEDGED = {**WATCHED, "hedge": {"after": "40ms"}}


def calls_per_request(service: dict[str, Any], limit: float) -> float:
    scenario = scenario_of(0.6, limit, service).model_copy(update={"duration": 4.0})
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run = simulate_once(scenario, Costs.zero())
    finally:
        sys.setprofile(before)
    assert len(run.records) > 800
    return calls / len(run.records)


@pytest.mark.parametrize(("service", "limit"), [(WATCHED, 1.0), (WATCHED, 0.06), (HEDGED, 1.0)])
def test_a_watched_request_costs_less_than_three_plain_ones(service: dict[str, Any], limit: float) -> None:
    """With a queue, a breaker, retries, ejection and a limit that some responses reach; and with hedging."""
    assert calls_per_request(service, limit) < 3 * calls_per_request({}, 86_400.0)
