"""Stale answers in the model: behind which a fresh one is fetched, and instead of a failure."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np
import pytest

from policies.http_cache.reuse import REFRESHES_AT_ONCE
from scenarios import Records, Scenario, Workload, parse_scenario
from simulator import Costs, simulate
from simulator.statistics import estimate

Z = 4.9
"""Two-sided: a correct model fails one such comparison in a million."""
FETCH_S, FRESH_S, RATE = 0.5, 1.0, 2.0
SAID = "max-age=1, stale-while-revalidate={}"


def scenario_with(said: str, fetch_s: float = FETCH_S, stale: str = "0s", **changes: Any) -> Scenario:
    data = {
        "title": "stale", "seed": 4, "duration": "500s", "warmup": "0s",
        "workload": {"rate": f"{RATE}/s", "objects": 1},
        "backend": {"web": {
            "service_time": f"{fetch_s}s", "concurrency": 1000, "cache_control": said,
        }},
        "proxy": {
            "route": [{"to": "web", "cache": {"stale": stale}}],
            "service": {"web": {"upstreams": "web"}},
            "limits": {"threads": 1000, "answer_timeout": "1d"},
        },
    }  # fmt: skip
    return parse_scenario(data, {key.replace("__", "."): value for key, value in changes.items()}).scenario


def run(scenario: Scenario) -> Records:
    records = simulate(scenario, costs=Costs.zero()).records
    return records.select(np.argsort(records.seq))


def arrivals(scenario: Scenario, count: int) -> list[float]:
    return np.cumsum([one.pause for one in islice(Workload(scenario).stream(0), count)]).tolist()


def test_one_object_request_by_request() -> None:
    """By hand, with a second of grace: fresh, stale with one fetch behind it, or too old to be sent."""
    scenario = scenario_with("max-age=1, stale-while-revalidate=1", workload__rate="1.3/s")
    records = run(scenario)
    seen = {"fresh": 0, "behind": 0, "miss": 0, "stale while a refetch is under way": 0}
    landing: list[tuple[float, bool]] = []
    born, refetching = -math.inf, False
    for row, now in enumerate(arrivals(scenario, len(records))):
        while landing and landing[0][0] <= now:
            born, behind = landing.pop(0)
            refetching = refetching and not behind
        age = now - born
        if age < FRESH_S:
            kind = "fresh"
        elif age >= FRESH_S + 1.0:
            kind = "miss"
            landing.append((now + FETCH_S, False))
        elif refetching:
            kind = "stale while a refetch is under way"
        else:
            kind, refetching = "behind", True
            landing.append((now + FETCH_S, True))
        seen[kind] += 1
        assert records.hit[row] == (kind != "miss")
        assert records.done[row] == pytest.approx(now + (FETCH_S if kind == "miss" else 0.0), abs=1e-9)
    assert min(seen.values()) > 20, seen
    assert records.fetches is not None and len(records.fetches) == seen["miss"] + seen["behind"]


@pytest.mark.parametrize("window", [0, 1, 2])
def test_who_waits_as_the_formula_says(window: int) -> None:
    """Fetched in no time: per fetch 1 + λT requests; it is waited for if none came in the window, e^(-λW)."""
    found = simulate(scenario_with(SAID.format(window), fetch_s=0.0), 20, costs=Costs.zero())
    expected = math.exp(-RATE * window) / (1 + RATE * FRESH_S)
    assert abs(estimate(1 - found.values("hit_ratio")).z_score(expected)) < Z


@pytest.mark.parametrize("word", ["must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache"])
def test_who_forbids_stale_answers_gets_none(word: str) -> None:
    """Section 4.2.4 of RFC 9111 goes before RFC 5861, in the model as in the real proxy."""
    bare, strict = (
        run(scenario_with(said)) for said in ("max-age=1", f"max-age=1, stale-while-revalidate=60, {word}")
    )
    if word == "no-cache":
        assert not strict.hit.any()
    else:
        assert strict.hit.tolist() == bare.hit.tolist()


def test_refetches_are_one_per_object_and_only_so_many_at_once() -> None:
    workload = {"rate": "500/s", "objects": 50, "popularity": "uniform"}
    scenario = scenario_with(SAID.format(600), workload=workload, duration="20s")
    result = simulate(scenario, costs=Costs.zero())
    inside = result.queues["web/0"]
    assert inside.values[inside.times > 3].max() == REFRESHES_AT_ONCE
    assert result.records.hit[result.records.due > 3].all()


def test_a_stored_answer_stands_in_for_a_failing_backend_as_long_as_the_route_says() -> None:
    records = run(scenario_with("max-age=1", stale="30s", backend__web__fail={"0": "100s..200s"}))
    last = records.done[(records.sent < 100) & ~records.hit].max()
    asked = (records.sent > 100.5) & (records.sent < 200)
    expected = np.where(records.sent[asked] < last + FRESH_S + 30, 200, 502)
    assert records.status[asked].tolist() == expected.tolist()
    assert {200, 502} == set(expected.tolist())
    standing = asked & (records.status == 200) & (records.sent > last + FRESH_S)
    assert not records.hit[standing].any() and (records.upstream[standing] == 0).all()
