"""Proxies in two tiers: their scenarios, and what the simulator says of them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lessons.both_at_once.formulas import OBJECTS, POPULARITY, Shares
from lessons.kit.simulation import simulated
from policies.balancing import Dispatch, dispatch_rng
from scenarios.distributions import parse_popularity
from scenarios.loading import LoadedScenario, load_scenario, parse_scenario
from scenarios.records import Summary

ITEM = 2560
"""Bytes that one object takes in a cache: its body of 2 KiB, and 512 more."""
PLACES = 100
"""Objects that a small cache of the lesson holds."""
BY_TURNS, BY_PATH = "round_robin", "rendezvous_hash"


def _storing(objects: int) -> dict[str, Any]:
    return {"policy": "lru", "capacity": objects * ITEM, "overhead": "512B"}


def network(
    front_objects: int, behind_objects: int, fronts: int = 1, shields: int = 1, *,
    by_path: bool = True, forward: bool = False, duration_s: float = 20.0,
) -> LoadedScenario:  # fmt: skip
    """Two tiers of caches before an origin, with 300 requests per second; see `shares_by_formula`.

    With `forward`, the first tier are forward proxies, whose clients name the proxy behind.
    """
    names = [f"proxy.{fronts + number}" for number in range(shields)]
    balance = BY_PATH if by_path else BY_TURNS
    front: dict[str, Any] = {"cache": _storing(front_objects)}
    if forward:
        front["forward"] = {"protocols": ["http"], "cache": True}
    else:
        front["route"] = [{"to": "behind", "cache": True}]
        front["service"] = {"behind": {"upstreams": names, "balance": balance, "hash_on": "path"}}
    shield = {
        "route": [{"to": "origin", "cache": True}],
        "service": {"origin": {"upstreams": "origin"}},
        "cache": _storing(behind_objects),
    }
    doors = [f"proxy.{number}" for number in range(fronts)]
    tables = {
        "title": "Two tiers of caches", "seed": 7,
        "duration": f"{duration_s:g}s", "warmup": f"{duration_s / 2:g}s",
        "workload": {
            "rate": "300/s", "clients": 8 * fronts, "doors": doors,
            "objects": OBJECTS, "popularity": POPULARITY, "size": "2KiB",
        },
        "backend": {
            "origin": {
                "concurrency": 16, "service_time": "exponential(20ms)", "cache_control": "max-age=3600",
            }
        },
        "proxy": [front] * fronts + [shield] * shields,
    }  # fmt: skip
    return parse_scenario(tables)


def shares_of(summary: Summary, fronts: int = 1) -> Shares:
    """Which share of the requests each tier has answered."""
    found = list(summary.cache_share.values())
    front, behind = sum(found[:fronts]), sum(found[fronts:])
    return Shares(front, behind, 1 - front - behind)


@functools.lru_cache(maxsize=256)
def simulated_shares(
    front_objects: int, behind_objects: int, fronts: int = 1, shields: int = 1, *,
    by_path: bool = True, forward: bool = False, duration_s: float = 20.0,
) -> Shares:  # fmt: skip
    """Simulate `network`, with proxies that cost nothing."""
    loaded = network(
        front_objects, behind_objects, fronts, shields,
        by_path=by_path, forward=forward, duration_s=duration_s,
    )  # fmt: skip
    return shares_of(simulated(loaded).summary, fronts)


def shield_runs(duration_s: float = 4.0, warmup_s: float = 1.0) -> LoadedScenario:
    """The shipped scenario ``two-shields``, a few seconds for each variant."""
    return load_scenario("two-shields", {"duration": f"{duration_s}s", "warmup": f"{warmup_s}s"})


def row_run(duration_s: float = 6.0) -> LoadedScenario:
    """A forward proxy before a reverse one, each with room for a hundred objects."""
    return network(PLACES, PLACES, forward=True, duration_s=duration_s)


def saved_by_hashing(by_turns: Summary, by_path: Summary) -> float:
    """Which percentage of the fetches an edge saves that chooses its shield by the path."""
    assert by_turns.fetch_rps and by_path.fetch_rps is not None
    return 100 * (1 - by_path.fetch_rps / by_turns.fetch_rps)


def busiest_shield(exponent: float, shields: int = 4) -> float:
    """The share of the requests that the busiest shield gets, if each has its own paths.

    The edge stores nothing. `exponent` is that of the popularity, ``zipf(exponent)``: the larger it is, the
    more requests are for few objects.
    """
    balancer = Dispatch(BY_PATH, [1.0] * shields, dispatch_rng(0, "shields"))
    at = np.zeros(shields)
    for number, chance in enumerate(parse_popularity(f"zipf({exponent:g})").probabilities(OBJECTS)):
        at[balancer.start(f"/objects/{number}", 0.0)] += chance
    return float(at.max())
