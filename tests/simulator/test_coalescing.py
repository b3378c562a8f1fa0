"""Misses of one object at the same time: each goes to the backend, or one goes for all."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from scenarios import Records, Scenario, Workload, parse_scenario
from simulator import Costs, simulate
from simulator.statistics import estimate

Z = 4.9
"""Two-sided: a correct model fails one such comparison in a million."""
FETCH_S, FRESH_S, RATE = 0.5, 1.0, 2.0


def scenario_with(
    route: dict[str, Any], said: str = "max-age=1", changes: dict[str, Any] | None = None, **backend: Any
) -> Scenario:
    data = {
        "title": "coalescing", "seed": 4, "duration": "1000s", "warmup": "0s",
        "workload": {"rate": f"{RATE}/s", "objects": 1},
        "backend": {"web": {
            "service_time": f"{FETCH_S}s", "concurrency": 1000, "cache_control": said, **backend,
        }},
        "proxy": {
            "route": [{"to": "web", "cache": route}],
            "service": {"web": {"upstreams": "web"}},
            "limits": {"threads": 1000, "answer_timeout": "1d"},
        },
    }  # fmt: skip
    return parse_scenario(data, changes or {}).scenario


def run(scenario: Scenario) -> Records:
    records = simulate(scenario, costs=Costs.zero()).records
    return records.select(np.argsort(records.seq))


@pytest.mark.parametrize(("objects", "threads"), [(1, 1000), (2, 3)])
def test_one_fetches_for_all_who_come_meanwhile(objects: int, threads: int) -> None:
    """Request by request: a fetch, those who wait for it, those who find it fresh, and so on.

    Who waits holds no thread: beside two fetches a third one is enough for all others.
    """
    changes = {"workload.objects": objects, "proxy.limits.threads": threads, "workload.rate": "20/s"}
    scenario = scenario_with({"coalesce": True}, changes=changes)
    records = run(scenario)
    landed, fresh_until = [-1.0] * objects, [-1.0] * objects
    now = 0.0
    for row, request in enumerate(islice(Workload(scenario).stream(0), len(records))):
        now += request.pause
        one = request.object
        fetches = now >= fresh_until[one]
        if fetches:
            landed[one], fresh_until[one] = now + FETCH_S, now + FETCH_S + FRESH_S
        assert records.hit[row] == (not fetches)
        assert records.done[row] == pytest.approx(max(now, landed[one]), abs=1e-9)
    assert records.upstream[records.hit].tolist() == [-1] * int(records.hit.sum())


def test_who_waits_has_been_read_already() -> None:
    """Half of a hit's demand on the core comes before the wait: the answers need only the other half."""
    scenario = scenario_with({"coalesce": True}, changes={"workload.rate": "40/s", "duration": "100s"})
    cpu = 0.004
    records = simulate(scenario, costs=replace(Costs.zero(), hit_cpu=cpu)).records
    fetched = records.done[~records.hit]
    waited = [
        records.done[records.hit & (records.done > landing) & (records.sent < landing)] for landing in fetched
    ]
    gaps = np.concatenate([np.diff(np.sort(done)) for done in waited])
    assert np.median(gaps) == pytest.approx(cpu / 2, abs=1e-9)


def test_coalescing_spares_the_backend_as_the_formula_says() -> None:
    """Fetches per request: 1 / (1 + λ (T + D)), here a quarter."""
    coalesced, each = (
        estimate(1 - simulate(scenario_with(route), 10, costs=Costs.zero()).values("hit_ratio"))
        for route in ({"coalesce": True}, {})
    )
    assert abs(coalesced.z_score(1 / (1 + RATE * (FRESH_S + FETCH_S)))) < Z
    assert each.mean > coalesced.mean + 0.1


def test_what_may_not_be_stored_is_fetched_by_each() -> None:
    records = run(scenario_with({"coalesce": True}, said="no-store"))
    assert not records.hit.any()
    assert records.response.max() <= 2 * FETCH_S + 1e-9
    waited = (records.response > FETCH_S + 1e-9).sum()
    assert 0 < waited < 0.02 * len(records), "only who came during the first fetch: then it is known"


def test_nobody_waits_longer_than_allowed() -> None:
    records = run(scenario_with({"coalesce": True, "wait": "100ms"}))
    assert records.response.max() == pytest.approx(FETCH_S + 0.1)
    assert records.response[records.hit].max() <= 0.1 + 1e-9


def test_an_error_is_not_shared() -> None:
    records = run(scenario_with({"coalesce": True, "stale": "0s"}, fail={"0": "100s..200s"}))
    assert set(records.status[records.hit].tolist()) == {200}
    down = (records.sent > 102) & (records.sent < 200)
    assert (records.status[down] == 502).all()
    assert (records.status[records.sent > 200] == 200).all()
