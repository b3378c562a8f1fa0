"""Proxies in two tiers: their scenarios, and what the simulator says of them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lessons.both_at_once.formulas import OBJECTS, POPULARITY, Shares
from lessons.kit.simulation import simulated
from policies.balancing import Dispatch, dispatch_rng
from scenarios.distributions import parse_popularity
from scenarios.loading import LoadedScenario, parse_scenario
from scenarios.records import Summary

ITEM = 2560
"""Bytes that one object takes in a cache: its body of 2 KiB, and 512 more."""
PLACES = 100
"""Objects that a cache of a row holds, or a shield that is measured."""
EDGE_PLACES = 50
"""Objects that one edge holds."""
BY_TURNS, BY_PATH = "round_robin", "rendezvous_hash"


def _storing(objects: int) -> dict[str, Any]:
    return {"policy": "lru", "capacity": objects * ITEM, "overhead": "512B"}


def _tables(
    front_objects: int, behind_objects: int, fronts: int, shields: int,
    by_path: bool, forward: bool, duration_s: float,
) -> dict[str, Any]:  # fmt: skip
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
    origin = {"concurrency": 16, "service_time": "exponential(20ms)", "cache_control": "max-age=3600"}
    return {
        "title": "Two tiers of caches", "seed": 7,
        "duration": f"{duration_s:g}s", "warmup": f"{duration_s / 2:g}s",
        "workload": {
            "rate": "400/s", "clients": 8 * fronts, "doors": [f"proxy.{number}" for number in range(fronts)],
            "objects": OBJECTS, "popularity": POPULARITY, "size": "2KiB",
        },
        "backend": {"origin": origin},
        "proxy": [front] * fronts + [shield] * shields,
    }  # fmt: skip


def network(
    front_objects: int, behind_objects: int, fronts: int = 1, shields: int = 1, *,
    by_path: bool = True, forward: bool = False, duration_s: float = 16.0,
) -> LoadedScenario:  # fmt: skip
    """Two tiers of caches before an origin, with 400 requests per second; see `shares_by_formula`.

    With `forward`, the first tier are forward proxies, whose clients name the proxy behind.
    """
    return parse_scenario(
        _tables(front_objects, behind_objects, fronts, shields, by_path, forward, duration_s)
    )


def shares_of(summary: Summary, fronts: int = 1) -> Shares:
    """Which share of the requests each tier has answered."""
    found = list(summary.cache_share.values())
    front, behind = sum(found[:fronts]), sum(found[fronts:])
    return Shares(front, behind, 1 - front - behind)


@functools.lru_cache(maxsize=256)
def simulated_shares(
    front_objects: int, behind_objects: int, fronts: int = 1, shields: int = 1, *,
    by_path: bool = True, forward: bool = False, duration_s: float = 16.0,
) -> Shares:  # fmt: skip
    """Simulate `network`, with proxies that cost nothing."""
    loaded = network(
        front_objects, behind_objects, fronts, shields,
        by_path=by_path, forward=forward, duration_s=duration_s,
    )  # fmt: skip
    return shares_of(simulated(loaded).summary, fronts)


def shield_runs(duration_s: float = 3.5, warmup_s: float = 1.0) -> LoadedScenario:
    """An edge before two shields, between which it chooses by turns or by path: two variants."""
    tables = _tables(EDGE_PLACES, PLACES, 1, 2, True, False, duration_s)
    tables["workload"]["rate"] = "200/s"
    compare = {"proxy.0.service.behind.balance": [BY_TURNS, BY_PATH]}
    return parse_scenario(tables | {"seed": 1, "warmup": f"{warmup_s:g}s", "compare": compare})


def row_run(duration_s: float = 5.0) -> LoadedScenario:
    """A forward proxy before a reverse one, each with room for a hundred objects."""
    tables = _tables(PLACES, PLACES, 1, 1, True, True, duration_s)
    tables["workload"]["rate"] = "200/s"
    return parse_scenario(tables | {"warmup": "1s"})


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
