"""What the lesson on caching confirms: its four questions as short runs of one experiment."""

from __future__ import annotations

from lessons.caching.cache_size import rooms
from scenarios.loading import LoadedScenario, Variant, load_scenario
from scenarios.schema import Scenario

PAGE_RPS = 1.5
"""How often each of forty pages is asked for."""
FRESH_S, FETCH_S = 1.0, 0.1
_PAGES = 40
_ROOM_PERCENT = 20
_ROOMS_S, _PAGES_S, _STAMPEDE_S = 2.2, 2.6, 2.3
"""Seconds of a run; the last ends between two stampedes."""


def caching_runs() -> LoadedScenario:
    """Six variants, a few seconds each, with labels that say what they are about.

    - ``fifo`` and ``sieve``: 300 objects, room for a fifth of them;
    - ``expiring``: pages that are fresh for a second; ``one second of grace``: the same with
      ``stale-while-revalidate=1``;
    - ``each fetches`` and ``one fetches``: an object that is asked for 200 times a second.
    """
    kept = rooms(_ROOM_PERCENT, ["fifo", "sieve"], _ROOMS_S).variants
    variants = [
        *(_named(variant.label, variant) for variant in kept),
        _pages("expiring", "max-age=1"),
        _pages("one second of grace", "max-age=1, stale-while-revalidate=1"),
        *map(_named, ("each fetches", "one fetches"), _stampede().variants),
    ]
    return LoadedScenario("caching", variants[0].scenario, variants)


def long_run(label: str, duration_s: float = 60.0) -> Scenario:
    """One of `caching_runs`, long enough for an average."""
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
