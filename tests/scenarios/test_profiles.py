"""Loads that change over a run: the arrivals are a Poisson process with the rate that was asked for."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from policies.bad_input import BadInput
from scenarios import Scenario, Workload, parse_scenario
from scenarios.profiles import parse_profile

RATE = 200.0


def scenario_with(workload: dict[str, Any]) -> Scenario:
    data = {
        "title": "profile", "seed": 5, "duration": "100s", "workload": workload, "backend": {"web": {}},
        "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
    }  # fmt: skip
    return parse_scenario(data).scenario


def arrivals(profile: str | None, until: float = 100.0) -> NDArray[np.float64]:
    workload = {"rate": RATE} | ({"profile": profile} if profile else {})
    times, now = [], 0.0
    for request in Workload(scenario_with(workload)).stream(0):
        now += request.pause
        if now >= until:
            return np.array(times)
        times.append(now)
    raise AssertionError("open load has no end")


@pytest.mark.parametrize(
    ("profile", "at", "factors"),
    [
        ("ramp(0, 2, 10s)", [0, 5, 10, 99], [0, 1, 2, 2]),
        ("ramp(3, 1, 10s)", [0, 5, 10, 99], [3, 2, 1, 1]),
        ("bursts(10s, 1s, 5)", [0, 0.9, 1, 9.9, 10.5], [5, 5, 1, 1, 5]),
        ("day(60s, 0.8)", [0, 15, 30, 60], [0.2, 1, 1.8, 0.2]),
    ],
)
def test_a_profile_is_what_it_says(profile: str, at: list[float], factors: list[float]) -> None:
    found = parse_profile(profile)
    assert found.factor(np.array(at, dtype=float)) == pytest.approx(factors)
    assert found.peak >= max(factors)


@pytest.mark.parametrize(
    "profile",
    ["ramp(0, 2, 80s)", "ramp(2, 0.1, 50s)", "bursts(10s, 2s, 4)", "bursts(5s, 2s, 0)", "day(40s, 1)"],
)
def test_arrivals_become_a_unit_poisson_process_once_time_runs_by_the_expected_number(profile: str) -> None:
    """Time rescaling: gaps of Λ(t) are exponential. Kolmogorov and Smirnov, false alarm one in a million."""
    grid = np.linspace(0, 100, 200_001)
    expected = np.concatenate(([0.0], np.cumsum(parse_profile(profile).factor(grid[:-1]) * RATE * 5e-4)))
    gaps = np.sort(np.diff(np.interp(arrivals(profile), grid, expected)))
    theory = -np.expm1(-gaps)
    steps = np.arange(len(gaps) + 1) / len(gaps)
    distance = max((steps[1:] - theory).max(), (theory - steps[:-1]).max())
    assert len(gaps) > 5_000
    assert distance * np.sqrt(len(gaps)) < 2.7


def test_a_flat_profile_has_the_plain_loads_arrivals() -> None:
    assert arrivals("ramp(1, 1, 1s)") == pytest.approx(arrivals(None), abs=1e-9)


def test_a_profile_changes_when_requests_come_and_not_what_they_ask() -> None:
    plain, bursty = (
        Workload(scenario_with({"rate": RATE} | extra)).stream(0)
        for extra in ({}, {"profile": "bursts(10s, 1s, 5)"})
    )
    pairs = takewhile(lambda pair: pair[0] < 500, enumerate(zip(plain, bursty, strict=False)))
    assert all((a.object, a.size, a.demand) == (b.object, b.size, b.demand) for _, (a, b) in pairs)


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("burst(1s, 1s, 5)", "unknown profile 'burst' (did you mean 'bursts'?)"),
        ("bursts(1s, 5)", "expected bursts(every, lasting, factor)"),
        ("bursts(1s, 2s, 5)", "lasting must be above 0 and below every"),
        ("day(1s, 1.5)", "swing from 0 to 1"),
        ("ramp(1, x, 1s)", "expected a number for high"),
        ("ramp(1, 0, 1s)", "high and over must be above 0"),
        ("5", "expected a profile such as 'bursts(10s, 1s, 5)'"),
    ],
)
def test_a_wrong_profile_is_told_in_one_line(profile: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"^scenario: workload\.profile: ") as found:
        scenario_with({"rate": RATE, "profile": profile})
    assert said in str(found.value)


def test_a_profile_needs_a_rate() -> None:
    with pytest.raises(BadInput, match="expected a 'rate' that it changes over time"):
        scenario_with({"users": 3, "profile": "day(10s, 0.5)"})
