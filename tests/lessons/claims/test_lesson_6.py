"""What lesson 6 says, and what formulas, replays and simulations compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lessons.caching import (
    caching_runs,
    hit_ratio,
    hits_by_policy,
    lifetimes,
    long_run,
    most_popular_kept,
    share_that_waits,
    simulated_pages,
    simulated_stampede,
)
from lessons.caching.cache_size import OBJECTS, _objects, capacity_scenario
from lessons.caching.exercise import _needed
from lessons.caching.expiry import PAGES, PAGES_FETCH_S, PAGES_FRESH_S, simulated_lifetime, stampede
from lessons.caching.expiry_figures import (
    _BURST_S,
    FETCHES_MS,
    LIFETIME_RATES,
    LIFETIMES_S,
    PAGE_RATES,
    STAMPEDE_RATES,
    WINDOWS_S,
)
from lessons.caching.scenarios import FETCH_S, FRESH_S, PAGE_RPS
from policies import eviction_policies
from scenarios import Scenario, load_scenario
from simulator import simulate


@functools.cache
def variant(label: str) -> Scenario:
    (found,) = (one.scenario for one in caching_runs().variants if one.label == label)
    return found


@functools.cache
def simulated_hits(label: str, long: bool) -> float:
    return 100 * (simulate(long_run(label) if long else variant(label)).summary.hit_ratio or 0.0)


def popularity(rank: int) -> float:
    workload = capacity_scenario().scenario.workload
    chances = workload.popularity.probabilities(workload.objects)
    return float(chances[rank - 1] / chances[0])


def points_apart(percent: float) -> float:
    hits = hits_by_policy(percent).values()
    return 100 * (max(hits) - min(hits))


def hits_of_new_requests(fresh_s: float) -> float:
    """Per cent of the requests that come on top, from 20 to 40 per second, that are hits."""
    few, many = (simulated_lifetime(fresh_s, rate) for rate in (20, 40))
    return 100 * (40 * (many.hit_ratio or 0) - 20 * (few.hit_ratio or 0)) / 20


def saves_no_work() -> bool:
    graceful, plain = (simulate(long_run(label)).summary for label in ("one second of grace", "expiring"))
    return abs(graceful.fetch_rps / plain.fetch_rps - 1) < 0.02


def bursts() -> Scenario:
    return lifetimes(1, 20, workload__objects=50, workload__profile="bursts(20s, 2s, 9)").scenario


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "What happens if forty requests find it expired": lambda: [
        simulated_stampede(200, 0.2)[False].summary.fetches_per_expiry,
    ],
    "There are 300 objects, and some are far more popular than others. Roughly, the second is half as "
    "popular as the first, and the third is a third as popular": lambda: [
        OBJECTS, (0.5, popularity(2)), (1 / 3, popularity(3)),
    ],
    "The cache has room for 60 of them.": lambda: [_objects(20)],
    "Each of forty pages is requested 1.5 times per second": lambda: [
        variant("expiring").workload.objects, PAGE_RPS,
    ],
    "fresh for one second. A fetch takes 0.1 s.": lambda: [FETCH_S],
    "One object is requested 200 times per second": lambda: [variant("coalesced").workload.rate or 0],
    "A fetch takes 0.2 s, and the proxy": lambda: [variant("coalesced").backend["origin"].service_time.mean],
    "fifo, room for 60 of 300 objects: hits": lambda: [_objects(20), OBJECTS],
    "max-age=1, 1.5 requests per second: ": lambda: [FRESH_S, PAGE_RPS],
    "200 requests per second, fetch of 0.2 s": lambda: [
        variant("coalesced").workload.rate or 0, variant("coalesced").backend["origin"].service_time.mean,
    ],
    "With room for 20 %, how much more room does `fifo` need": lambda: [100 * _objects(20) / OBJECTS],
    "With room for 60 %, the best and the worst policy are 6 points apart, with room for 10 % they are 16 "
    "points": lambda: [60, points_apart(60), 10, points_apart(10)],
    "There are 200 objects.": lambda: [lifetimes(4, 20).scenario.workload.objects],
    "from 1 s to 2 s, or from 10 s to 20 s?": lambda: [LIFETIMES_S[0], 2, 10, LIFETIMES_S[1]],
    "Increase the load from 20 to 40 requests per second. At a `max-age` of 4 s the cache serves 72 % of the "
    "new requests, although it serves only 49 % of the first 20.": lambda: [
        (LIFETIME_RATES[0], 20), (40, LIFETIME_RATES[1]), 4, hits_of_new_requests(4),
        100 * (simulated_lifetime(4, 20).hit_ratio or 0), 20,
    ],
    "And what are these figures at a `max-age` of 1 s?": lambda: [LIFETIMES_S[0]],
    "over the first four seconds": lambda: [_BURST_S],
    "a fetch takes 400 ms instead of 200.": lambda: [
        (400, FETCHES_MS[1]), 1e3 * stampede(200, 0.2).scenario.backend["origin"].service_time.mean,
    ],
    "with 20 requests per second and a fetch of 50 ms?": lambda: [STAMPEDE_RATES[0], FETCHES_MS[0]],
    "Fifty pages are fresh for two seconds. A fetch takes 100 ms": lambda: [
        PAGES, PAGES_FRESH_S, 1e3 * PAGES_FETCH_S,
    ],
    "Move the window from 0 to 5 s. What happens to the step at 100 ms?": lambda: [
        WINDOWS_S[0], (5, WINDOWS_S[1]), 1e3 * PAGES_FETCH_S,
    ],
    "0.2 requests per second. Why is a window of 5 s too short for them?": lambda: [
        PAGE_RATES[0], 5 if simulated_pages(0.2, 5).waits > 0.2 else 0,
    ],
    "**Grace saves no work.**": saves_no_work,
    "hits, max-age=1, 1.5 per second": lambda: [FRESH_S, PAGE_RPS],
    "fetches per expiry, 200 per second, 0.2 s": lambda: [
        variant("coalesced").workload.rate or 0, variant("coalesced").backend["origin"].service_time.mean,
    ],
    "hits of lru, room for 20 %": lambda: [100 * _objects(20) / OBJECTS],
    "an object that is requested twice as often has as many hits as one that lives twice as long": lambda: [
        2, 2 if hit_ratio(2 * PAGE_RPS, FRESH_S) == hit_ratio(PAGE_RPS, 2 * FRESH_S) else 0,
    ],
    "The static optimum hits 68.3 %, and no policy that knows only the past comes beyond it here.": lambda: [
        100 * most_popular_kept(20) if best_of_the_past() < most_popular_kept(20) else 0,
    ],
    "`belady` hits 76.5 %": lambda: [100 * hits_by_policy(20, ["belady"])["belady"]],
    "have room for 60 of 300 objects. `expiring`": lambda: [_objects(20), variant("fifo").workload.objects],
    "the object of the stampede is missing twice": lambda: [
        simulate(variant("coalesced")).summary.fetch_rps * variant("coalesced").duration,
    ],
    "Runs of two seconds are noisy.": lambda: [variant("fifo").duration],
    "(The measured hits are those of two seconds after an empty start. So they differ by up to 2 points": (
        lambda: [variant("fifo").duration, max(
            abs(simulated_hits("fifo", False) - 100 * hits_by_policy(20)["fifo"]),
            abs(simulated_hits("expiring", False) - simulated_hits("expiring", True)),
        )]
    ),
    "fifty pages are requested nine times as often during two seconds of every twenty": lambda: [
        bursts().workload.objects, *reversed(bursts().workload.profile.arguments),
    ],
    "Here a fetch takes 0.2 s": lambda: [variant("coalesced").backend["origin"].service_time.mean],
    "in the scenario `stampede` from 256 to 8": lambda: [
        load_scenario("stampede").scenario.backend["origin"].concurrency, 8,
    ],
    "fewer than one request in a thousand waits?": lambda: [
        1000 if share_that_waits(1, 2, 0.1, WINDOWS_S[1]) < 1e-3 < share_that_waits(1, 2, 0.1, 0) else 0,
    ],
    "From 90 % to 99 % of hits the lifetime must grow eleven times": lambda: [
        90, 99, _needed(1, 0, 0.99) / _needed(1, 0, 0.9),
    ],
    "A page that is requested once per hour is hardly ever a hit": lambda: bool(
        hit_ratio(1 / 3600, LIFETIMES_S[1]) < 0.01
    ),
}  # fmt: skip


def best_of_the_past() -> float:
    return max(hits_by_policy(20, [name])[name] for name in eviction_policies.names())


OTHERS = {
    "counted in this very text": (
        "**predict** four numbers", "There are four situations", "Two grey lines show",
        "Two of these surprise most people",
    ),
    "a question or an advice": ("Double the capacity again and again",),
    "what the next cell computes": ("requests that wait, window of 1 s",),
    "a step of an argument": ("a cycle has 1 + λ(T + D) requests", "falls as 1 / λT"),
    "about the world": ("*304 Not Modified*", "So far everything was computed"),
    "held below": ("This takes less than half a minute",),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(6, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(6, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(6, REASONS) == []


def test_the_runs_of_the_confirmation_take_less_than_half_a_minute(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(6, "This takes less than half a minute", [((planned_s(6) + 9) / 60, 0.5)])
