"""The runs that lesson 6 confirms: its four questions as variants of one scenario."""

from __future__ import annotations

from lessons.caching.cache_size import capacity_scenario
from scenarios.loading import LoadedScenario, Variant, load_scenario
from scenarios.schema import Scenario

PAGE_RPS = 1.5
"""Requests per second for each of forty pages."""
FRESH_S, FETCH_S = 1.0, 0.1
_PAGES = 40
_CAPACITY_PERCENT = 20
_CAPACITY_S, _PAGES_S, _STAMPEDE_S = 2.2, 2.6, 2.3
"""Seconds of a run; the last value ends between two stampedes."""


def caching_runs() -> LoadedScenario:
    """Six variants, a few seconds each.

    - ``fifo`` and ``sieve``: 300 objects, room for a fifth of them;
    - ``expiring``: pages that are fresh for a second; ``one second of grace``: the same with
      ``stale-while-revalidate=1``;
    - ``not coalesced`` and ``coalesced``: an object with 200 requests per second.
    """
    kept = capacity_scenario(_CAPACITY_PERCENT, ["fifo", "sieve"], _CAPACITY_S).variants
    variants = [
        *(_named(variant.label, variant) for variant in kept),
        _pages("expiring", "max-age=1"),
        _pages("one second of grace", "max-age=1, stale-while-revalidate=1"),
        *map(_named, ("not coalesced", "coalesced"), _stampede().variants),
    ]
    return LoadedScenario("caching", variants[0].scenario, variants)


def long_run(label: str, duration_s: float = 60.0) -> Scenario:
    """One of the variants of `caching_runs`, with a longer duration."""
    (scenario,) = (variant.scenario for variant in caching_runs().variants if variant.label == label)
    return scenario.model_copy(update={"duration": duration_s, "warmup": 3.0})


def _named(label: str, variant: Variant) -> Variant:
    return Variant({"": label}, variant.scenario)


def _pages(label: str, said: str) -> Variant:
    changes = {
        "workload.rate": f"{_PAGES * PAGE_RPS:g}/s",
        "workload.objects": _PAGES,
        "workload.popularity": "uniform",
        "backend.origin.service_time": f"{FETCH_S}s",
        "backend.origin.cache_control": said,
        "duration": f"{_PAGES_S}s",
        "warmup": "0.8s",
        "compare": {},
    }
    return _named(label, load_scenario("time-to-live", changes).variants[0])


def _stampede() -> LoadedScenario:
    return load_scenario("stampede", {"duration": f"{_STAMPEDE_S}s", "warmup": "0s"})
