"""Simulations of ten servers behind a balancer that sees the loads always, at intervals, or not at all."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from policies import Balancer, balancing_policies
from scenarios import load_scenario
from scenarios.loading import LoadedScenario, Variant
from simulator import Costs, simulate
from simulator.result import Run
from simulator.series import Series

POOL_BALANCERS = ("random", "round_robin", "p2c", "least_requests")
HASHING = ("source_hash", "rendezvous_hash", "ring_hash", "maglev")
SERVERS = 10
WORK_S = 0.040
"""Mean service time of a request at a server of full speed."""
WORKS = {"uneven": "exponential(40ms)", "equal": "40ms"}
MOST_REQUESTS = 12
"""The longest queue that a figure shows."""


@dataclass(frozen=True)
class ServerPool:
    """The parameters of an experiment with ten servers.

    Parameters
    ----------
    load : float
        Arriving work, as a share of the work that ten servers of full speed can do.
    snapshot_interval : float
        Time between two snapshots of the loads that the balancer sees, in mean service times; 0: it sees
        the current loads.
    slow : float
        How many times slower the last server is.
    work : str
        ``uneven`` (exponential) or ``equal``.
    """

    load: float = 0.9
    snapshot_interval: float = 0.0
    slow: float = 1.0
    work: str = "uneven"

    def scenario(
        self,
        balancers: Sequence[str] = POOL_BALANCERS,
        duration_s: float = 20.0,
        warmup_s: float = 4.0,
        **changes: object,
    ) -> LoadedScenario:
        """The shipped scenario ``stale-loads`` with these parameters.

        Parameters
        ----------
        balancers : sequence of str
            One variant for each.
        duration_s, warmup_s : float
            Length of a run and of its warm-up, in seconds.
        **changes
            More settings, with two underscores for each dot of a key: ``workload__clients=10``.
        """
        given = {key.replace("__", "."): value for key, value in changes.items()}
        return load_scenario(
            "stale-loads",
            {
                "workload.rate": f"{self.load * SERVERS / WORK_S:g}/s",
                "backend.web.service_time": WORKS[self.work],
                "backend.web.slow": {str(SERVERS - 1): float(self.slow)},
                "proxy.service.web.load_snapshot": f"{self.snapshot_interval * WORK_S:g}s",
                "proxy.service.web.balance": balancers[0],
                "duration": f"{duration_s:g}s",
                "warmup": f"{warmup_s:g}s",
                "compare": {"proxy.service.web.balance": list(balancers)},
                **given,
            },
        )


@dataclass(frozen=True)
class PoolResult:
    """The simulation of one balancer.

    Attributes
    ----------
    mean, p99 : float
        Response times, in mean service times.
    settles : bool
        False under an overload: then mean and p99 depend on the length of the run and mean nothing.
    at_least : ndarray of float
        Shape (`MOST_REQUESTS` + 1,): share of time and servers with at least 0, 1, 2, … requests, waiting
        or in service.
    requests : int
        Number of simulated requests.
    """

    mean: float
    p99: float
    settles: bool
    at_least: NDArray[np.float64]
    requests: int


def simulate_pool(
    pool: ServerPool, balancers: Sequence[str] = POOL_BALANCERS, duration_s: float = 20.0
) -> dict[str, PoolResult]:
    """Simulate ten servers under each balancer; results are cached."""
    return {name: _simulated(pool, name, balancing_policies[name], duration_s) for name in balancers}


@functools.lru_cache(maxsize=512)
def _simulated(pool: ServerPool, name: str, _policy: type[Balancer], duration_s: float) -> PoolResult:
    """The class is part of the cache's key, because a notebook cell may define the same name again."""
    scenario = pool.scenario([name], duration_s).variants[0].scenario
    result = simulate(scenario, costs=Costs.zero())
    works = 1e3 * WORK_S
    summary = result.summary
    return PoolResult(
        summary.mean_ms / works,
        summary.p99_ms / works,
        bool(result.settled),
        share_with_at_least(result.runs[0], scenario.replicas, scenario.window),
        summary.requests,
    )


def share_with_at_least(
    run: Run, replicas: Sequence[str], window: tuple[float, float]
) -> NDArray[np.float64]:
    """Share of time and servers with at least 0, 1, …, `MOST_REQUESTS` requests, within `window`, in s."""
    time_with = sum(_time_with(run.queues[name], window) for name in replicas)
    shares = time_with / ((window[1] - window[0]) * len(replicas))
    return np.asarray(shares[::-1].cumsum()[::-1][: MOST_REQUESTS + 1])


def _time_with(queue: Series, window: tuple[float, float]) -> NDArray[np.float64]:
    """Seconds with 0, 1, … requests; the last element counts all lengths above `MOST_REQUESTS`."""
    lasting = np.diff(np.clip(np.append(queue.times, np.inf), *window))
    return np.bincount(np.minimum(queue.values, MOST_REQUESTS + 1), lasting, minlength=MOST_REQUESTS + 2)


def by_age(
    pool: ServerPool, intervals: Sequence[float], balancers: Sequence[str], duration_s: float = 20.0
) -> Mapping[str, list[float]]:
    """Mean response time of each balancer for each snapshot interval, in mean service times."""
    found = [simulate_pool(replace(pool, snapshot_interval=age), balancers, duration_s) for age in intervals]
    return {name: [results[name].mean for results in found] for name in balancers}


def knowledge_runs(
    load: float = 0.9, age: float = 5.0, duration_s: float = 2.0, warmup_s: float = 0.4
) -> LoadedScenario:
    """What the lesson confirms: no knowledge, two current numbers, all current numbers, all old numbers.

    The labels of the variants are the balancers' names; the last one is ``old loads``.
    """
    fresh = ServerPool(load).scenario(["random", "p2c", "least_requests"], duration_s, warmup_s).variants
    (old,) = ServerPool(load, age).scenario(["least_requests"], duration_s, warmup_s).variants
    variants = [*fresh, Variant({"": "old loads"}, old.scenario)]
    return LoadedScenario("what a balancer knows", variants[0].scenario, variants)


def one_more_server(balance: str, users: int = 400, duration_s: float = 10.0) -> LoadedScenario:
    """The shipped scenario ``one-more-server`` under one balancer: with ten servers, and with eleven.

    Parameters
    ----------
    balance : str
        The balancer; those in `HASHING` select the server by the client's address.
    users : int
        Clients; each has a separate address.
    duration_s : float
        Length of a run in seconds; users think for a quarter of it on average, so that nearly all of them
        send a request.
    """
    changed = {
        "workload.users": users,
        "workload.think": f"exponential({duration_s / 4:g}s)",
        "proxy.service.web.balance": balance,
        "duration": f"{duration_s}s",
        "warmup": "0s",
        "compare": {"backend.web.replicas": [SERVERS, SERVERS + 1]},
    }
    return load_scenario("one-more-server", changed)
