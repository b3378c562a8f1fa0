"""Ten servers behind a balancer: what the simulator foresees when it is told more, or less, or late."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from policies import Balancer, balancing_policies
from scenarios import load_scenario
from scenarios.loading import LoadedScenario
from simulator import Costs, simulate
from simulator.result import Run
from simulator.series import Series

FARM_BALANCERS = ("random", "round_robin", "p2c", "least_requests")
HASHING = ("source_hash", "rendezvous_hash", "ring_hash", "maglev")
SERVERS = 10
WORK_S = 0.040
"""Mean work of a request at a server of full speed."""
WORKS = {"uneven": "exponential(40ms)", "equal": "40ms"}
MOST_REQUESTS = 12
"""Requests at one server that pictures have room for."""


@dataclass(frozen=True)
class Farm:
    """An experiment with ten servers.

    Parameters
    ----------
    load : float
        Requests that arrive, as a share of what ten servers of full speed can do.
    looks : float
        How often the balancer learns of the loads, in mean works of a request; 0: it always knows them.
    slow : float
        How many times slower the last server is.
    work : str
        ``uneven`` (exponential) or ``equal``.
    """

    load: float = 0.9
    looks: float = 0.0
    slow: float = 1.0
    work: str = "uneven"

    def scenario(
        self,
        balancers: Sequence[str] = FARM_BALANCERS,
        duration_s: float = 20.0,
        warmup_s: float = 4.0,
        **changes: object,
    ) -> LoadedScenario:
        """The shipped scenario ``stale-loads`` with these numbers in it.

        Parameters
        ----------
        balancers : sequence of str
            The variants.
        duration_s, warmup_s : float
            Length of a run, and what is cut off at its start, in seconds.
        **changes
            More dotted keys, with two underscores for each dot: ``workload__clients=10``.
        """
        given = {key.replace("__", "."): value for key, value in changes.items()}
        return load_scenario(
            "stale-loads",
            {
                "workload.rate": f"{self.load * SERVERS / WORK_S:g}/s",
                "backend.web.service_time": WORKS[self.work],
                "backend.web.slow": {str(SERVERS - 1): float(self.slow)},
                "proxy.service.web.load_snapshot": f"{self.looks * WORK_S:g}s",
                "proxy.service.web.balance": balancers[0],
                "duration": f"{duration_s:g}s",
                "warmup": f"{warmup_s:g}s",
                "compare": {"proxy.service.web.balance": list(balancers)},
                **given,
            },
        )


@dataclass(frozen=True)
class Foreseen:
    """What the simulator foresees of one balancer.

    Attributes
    ----------
    mean, p99 : float
        Response times, as multiples of the mean work.
    settles : bool
        Whether they mean anything: under an overload they only tell how long one has waited.
    at_least : ndarray of float
        Share of the time and servers with at least 0, 1, 2, … requests, waiting or in service.
    requests : int
        That were simulated.
    """

    mean: float
    p99: float
    settles: bool
    at_least: NDArray[np.float64]
    requests: int


def foresee_farm(
    farm: Farm, balancers: Sequence[str] = FARM_BALANCERS, duration_s: float = 20.0
) -> dict[str, Foreseen]:
    """Simulate ten servers under each balancer; asked again, the answer is remembered."""
    return {name: _foreseen(farm, name, balancing_policies[name], duration_s) for name in balancers}


@functools.lru_cache(maxsize=512)
def _foreseen(farm: Farm, name: str, _policy: type[Balancer], duration_s: float) -> Foreseen:
    """The class is part of what is remembered by: a notebook cell may define the name anew."""
    scenario = farm.scenario([name], duration_s).variants[0].scenario
    result = simulate(scenario, costs=Costs.zero())
    works = 1e3 * WORK_S
    summary = result.summary
    return Foreseen(
        summary.mean_ms / works,
        summary.p99_ms / works,
        bool(result.settled),
        share_with_at_least(result.runs[0], scenario.replicas, scenario.window),
        summary.requests,
    )


def share_with_at_least(
    run: Run, replicas: Sequence[str], window: tuple[float, float]
) -> NDArray[np.float64]:
    """Share of time and servers with at least 0, 1, …, `MOST_REQUESTS` requests, within `window`, s."""
    time_with = sum(_time_with(run.queues[name], window) for name in replicas)
    shares = time_with / ((window[1] - window[0]) * len(replicas))
    return np.asarray(shares[::-1].cumsum()[::-1][: MOST_REQUESTS + 1])


def _time_with(queue: Series, window: tuple[float, float]) -> NDArray[np.float64]:
    """Seconds with 0, 1, … requests; the last place has all that are more than `MOST_REQUESTS`."""
    lasting = np.diff(np.clip(np.append(queue.times, np.inf), *window))
    return np.bincount(np.minimum(queue.values, MOST_REQUESTS + 1), lasting, minlength=MOST_REQUESTS + 2)


def by_age(
    farm: Farm, looks: Sequence[float], balancers: Sequence[str], duration_s: float = 20.0
) -> Mapping[str, list[float]]:
    """Mean response time of each balancer, for loads that are known every so many mean works."""
    found = [foresee_farm(replace(farm, looks=age), balancers, duration_s) for age in looks]
    return {name: [foreseen[name].mean for foreseen in found] for name in balancers}


def one_more_server(balance: str, users: int = 400, duration_s: float = 10.0) -> LoadedScenario:
    """The shipped scenario ``one-more-server`` under one balancer: with ten servers, and with eleven.

    Parameters
    ----------
    balance : str
        Who decides; one of `HASHING` tells clients apart by their addresses.
    users : int
        Clients, each with an address of its own.
    duration_s : float
        Length of a run in seconds; users think for a quarter of it on average, so that nearly all ask.
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
