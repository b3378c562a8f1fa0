"""Hit ratios by eviction policy and capacity, and their figure.

Hits depend only on the order of the requests. So this module replays the requests through the policy's
class, the same class that both twins use.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from itertools import islice

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lessons.kit.display import label_size
from policies.eviction import EvictionPolicy, eviction_policies, next_uses, offline_policies
from scenarios import load_scenario
from scenarios.loading import LoadedScenario
from scenarios.workload import Workload
from twin.plots.labels import many_lines, name_lines_inside
from twin.plots.style import FAINT, NEUTRAL, PREDICTED, STYLE, highlighted

OBJECTS = 300
POLICIES = ("fifo", "lru", "sieve", "lfu")
PERCENT = (1, 60, 1)
"""Capacity, in per cent of the objects: minimum, maximum, step."""
_REQUESTS = 12_000
_CURVE = (1, 2, 5, 10, 20, 40, 60)


def capacity_scenario(
    percent: float = 20, policies: Sequence[str] = POLICIES, duration_s: float = 2.0
) -> LoadedScenario:
    """The shipped scenario ``cache-size`` with 300 objects and a constant fetch time.

    Parameters
    ----------
    percent : float
        Capacity of the cache, in per cent of the objects.
    policies : sequence of str
        One variant for each.
    duration_s : float
        Length of a run, in seconds.
    """
    changes = {
        "workload.objects": OBJECTS,
        "workload.size": "1024",
        "backend.origin.service_time": "20ms",
        "proxy.cache.capacity": _objects(percent) * 1024,
        "proxy.cache.overhead": 0,
        "duration": f"{duration_s}s",
        "compare": {"proxy.cache.policy": list(policies)},
    }
    return load_scenario("cache-size", changes)


def _objects(percent: float) -> int:
    return max(1, round(percent / 100 * OBJECTS))


def hits_by_policy(percent: float, policies: Sequence[str] = POLICIES) -> dict[str, float]:
    """Hit ratio of each policy with room for `percent` per cent of the objects; results are cached.

    Besides the policies that both twins know, ``belady`` is allowed: it knows all future requests.
    """
    return {name: _hit_ratio(_objects(percent), name, _policy(name)) for name in policies}


def _policy(name: str) -> type[EvictionPolicy]:
    return offline_policies[name] if name in offline_policies.names() else eviction_policies[name]


def most_popular_kept(percent: float) -> float:
    """Hit ratio of the static optimum: a cache that knows all popularities and always keeps the same objects.

    No cache that never changes its objects has more hits. A policy that looks into the future, such as
    ``belady``, has more.
    """
    settings = capacity_scenario().scenario.workload
    chances = np.sort(settings.popularity.probabilities(settings.objects))[::-1]
    return float(chances[: _objects(percent)].sum())


def characteristic_time_hits(percent: float) -> float:
    """Hit ratio of LRU by the approximation of H. Che, Y. Tung and Z. Wang (2002).

    The cache holds an object if it was requested within the characteristic time. In this time, as many
    different objects are requested, on average, as the cache has room for.
    """
    settings = capacity_scenario().scenario.workload
    chances = settings.popularity.probabilities(settings.objects)
    low, high = 0.0, 1e7
    for _ in range(100):
        time = (low + high) / 2
        low, high = (time, high) if (1 - np.exp(-chances * time)).sum() < _objects(percent) else (low, time)
    return float(np.dot(chances, 1 - np.exp(-chances * low)))


@functools.lru_cache(maxsize=1024)
def _hit_ratio(objects: int, name: str, policy: type[EvictionPolicy]) -> float:
    """The class is part of the cache's key, because a notebook cell may define the same name again."""
    future = {"next_use": next_uses(_asked())} if name in offline_policies.names() else {}
    cache = policy(objects, rng=random.Random(1), **future)
    hits = [cache.request(number, 1, 0.0) for number in _asked()]
    return float(np.mean(hits[_REQUESTS // 4 :]))


@functools.lru_cache(maxsize=1)
def _asked() -> list[int]:
    return [request.object for request in islice(Workload(capacity_scenario().scenario).stream(0), _REQUESTS)]


def figure_of_capacity(percent: float, chosen: str = "lru", policies: Sequence[str] = POLICIES) -> Figure:
    """Hit ratio by capacity for all policies, and a bar for each at the chosen capacity."""
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins draw faster
        figure = Figure(figsize=(10.0, 3.3))
        between = 0.9 if many_lines(len(policies) + 1) else 0.3  # room for the names
        figure.subplots_adjust(left=0.065, right=0.985, top=0.91, bottom=0.15, wspace=between)
        curves, bars = figure.subplots(1, 2, width_ratios=[1.3, 1.0])
        _draw_curves(curves, percent, chosen, policies)
        _draw_bars(bars, percent, chosen, policies)
    return figure


def _draw_curves(panel: Axes, percent: float, chosen: str, policies: Sequence[str]) -> None:
    places: NDArray[np.float64] = np.array(_CURVE, dtype=np.float64)
    for name, style in highlighted(policies, chosen):
        values = [100 * hits_by_policy(place, [name])[name] for place in _CURVE]
        panel.plot(places, values, color=PREDICTED, label=name, **style)
    future = [100 * hits_by_policy(place, ["belady"])["belady"] for place in _CURVE]
    panel.plot(places, future, color=NEUTRAL, lw=1.0, ls="--", label="belady, knows the future")
    best = [100 * most_popular_kept(place) for place in _CURVE]
    panel.plot(places, best, color=NEUTRAL, lw=1.0, label="static optimum")
    panel.axvline(percent, color=NEUTRAL, lw=1.0, ls=":")
    panel.set(xscale="log", xlim=(1, 62), ylim=(0, 100), title="hit ratio by capacity")
    panel.set(xlabel="capacity, % of the objects", ylabel="hit ratio, %")
    panel.set_xticks(_CURVE, [str(place) for place in _CURVE])
    panel.minorticks_off()
    name_lines_inside(panel, "policy", loc="lower right", fontsize=8)


def _draw_bars(panel: Axes, percent: float, chosen: str, policies: Sequence[str]) -> None:
    found, best = hits_by_policy(percent, policies), most_popular_kept(percent)
    future = hits_by_policy(percent, ["belady"])["belady"]
    for place, (name, value) in enumerate(found.items()):
        panel.barh(place, 100 * value, height=0.6, color=PREDICTED, alpha=1.0 if name == chosen else FAINT)
        panel.annotate(
            f"{value:.1%}", (100 * max(best, future), place), (6, 0), textcoords="offset points",
            va="center", fontsize=8, color=NEUTRAL,
        )  # fmt: skip
    panel.axvline(100 * best, color=NEUTRAL, lw=1.0)
    panel.axvline(100 * future, color=NEUTRAL, lw=1.0, ls="--")
    panel.set_yticks(range(len(found)), list(found), fontsize=label_size(found))
    panel.set(
        title=f"room for {_objects(percent)} of {OBJECTS} objects", xlabel="hit ratio, %", xlim=(0, 118)
    )
    panel.set_xticks([0, 20, 40, 60, 80, 100])
    panel.invert_yaxis()
    panel.grid(axis="y", visible=False)
