"""Balancers against theory: solved Markov chains, round robin as E_n/M/1, random splits by MVA.

Where chance is involved, a z-test on independent replications with fixed seeds says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from scenarios import Scenario
from simulator import Costs, simulate
from simulator.statistics import estimate

Z = 4.9
"""Two-sided: a correct model fails one such comparison in a million."""

State = tuple[int, ...]
"""Requests at each server, longest queue first: by symmetry the order tells all."""


def p2c_chance(position: int, state: State) -> float:
    """Of the pairs of two different servers, `position` of them have this one as the shorter."""
    return position / comb(len(state), 2)


def jsq_chance(position: int, state: State) -> float:
    return float(position == len(state) - 1)


@dataclass
class Chain:
    """Equal exponential servers behind a balancer: a level for each total number of requests.

    States whose queues differ by more than `spread`, and totals beyond `most`, are left out: at a
    load of 0.8 they have a chance below one in a million.
    """

    servers: int
    load: float
    chance: Callable[[int, State], float]
    spread: int
    most: int

    def levels(self) -> list[dict[State, int]]:
        found: list[dict[State, int]] = [{(0,) * self.servers: 0}]
        for _ in range(self.most):
            above: dict[State, int] = {}
            for state in found[-1]:
                for position in range(self.servers):
                    to = moved(state, position, 1)
                    if to[0] - to[-1] <= self.spread:
                        above.setdefault(to, len(above))
            found.append(above)
        return found

    def mean_response(self) -> float:
        """In service times, by Little's law out of the stationary mean number."""
        weights = self._weights()
        total = np.array([weight.sum() for weight in weights])
        return float(np.dot(np.arange(len(total)), total) / total.sum() / (self.servers * self.load))

    def _weights(self) -> list[NDArray[np.float64]]:
        """Unnormalised stationary chances by level: matrix-geometric, from the highest level down."""
        levels = self.levels()
        up = [self._rates(here, there, +1) for here, there in pairwise(levels)]
        down = [self._rates(here, there, -1) for there, here in pairwise(levels)]
        steps: list[NDArray[np.float64]] = []
        back: NDArray[np.float64] | float = 0.0
        for level in range(self.most, 0, -1):
            leaving = down[level - 1].sum(axis=1) + (up[level].sum(axis=1) if level < self.most else 0.0)
            step = np.linalg.solve((np.diag(leaving) - back).T, up[level - 1].T).T
            steps.append(step)
            back = step @ down[level - 1]
        weights = [np.ones(1)]
        for step in reversed(steps):
            weights.append(weights[-1] @ step)
        return weights

    def _rates(self, here: dict[State, int], there: dict[State, int], change: int) -> NDArray[np.float64]:
        flow = np.zeros((len(here), len(there)))
        for state, row in here.items():
            for position in range(self.servers):
                to = moved(state, position, change)
                if to in there:
                    arrival = self.servers * self.load * self.chance(position, state)
                    flow[row, there[to]] += arrival if change > 0 else 1.0
        return flow


def moved(state: State, position: int, change: int) -> State:
    """One request more or less in one place; a state that cannot be is in no level."""
    changed = list(state)
    changed[position] += change
    return tuple(sorted(changed, reverse=True))


@cache
def solved(balance: str, servers: int) -> float:
    chance = {"p2c": p2c_chance, "least_requests": jsq_chance}[balance]
    return Chain(servers, 0.8, chance, spread=9 if servers > 2 else 40, most=90).mean_response()


def test_the_chains_have_the_known_values() -> None:
    assert solved("p2c", 4) == pytest.approx(2.3302, abs=1e-4)
    assert solved("least_requests", 4) == pytest.approx(1.9531, abs=1e-4)
    assert solved("p2c", 2) == pytest.approx(solved("least_requests", 2), rel=1e-9), "two choices of two"
    assert Chain(1, 0.8, jsq_chance, 0, 200).mean_response() == pytest.approx(5.0, abs=1e-9), "M/M/1"


@pytest.mark.parametrize("servers", [2, 4])
@pytest.mark.parametrize("balance", ["p2c", "least_requests"])
def test_a_balancer_meets_its_solved_chain(
    bare_scenario: Callable[..., Scenario], balance: str, servers: int
) -> None:
    scenario = bare_scenario(
        {"rate": f"{80 * servers}/s"},
        {"replicas": servers, "service_time": "exponential(10ms)"},
        balance=balance,
        duration=f"{80 / servers}s",
        warmup="2s",
    )
    found = simulate(scenario, 12, costs=Costs.zero()).values("mean_ms")
    assert abs(estimate(found).z_score(10 * solved(balance, servers))) < Z


def round_robin_response(servers: int, load: float) -> float:
    """E_n/M/1: each server gets every n-th of Poisson arrivals (Kleinrock 1975, section 6.4)."""
    sigma = 0.5
    for _ in range(500):
        sigma = (servers * load / (servers * load + 1 - sigma)) ** servers
    return 1 / (1 - sigma)


def test_the_formula_of_round_robin_gives_the_known_values() -> None:
    assert [round_robin_response(n, 0.8) for n in (1, 4, 10)] == pytest.approx(
        [5.0, 3.2674, 2.9223], abs=1e-4
    )


@pytest.mark.parametrize("servers", [4, 10])
def test_round_robin_meets_erlang_arrivals(bare_scenario: Callable[..., Scenario], servers: int) -> None:
    scenario = bare_scenario(
        {"rate": f"{80 * servers}/s"},
        {"replicas": servers, "service_time": "exponential(10ms)"},
        duration=f"{80 / servers}s",
        warmup="2s",
    )
    found = simulate(scenario, 12, costs=Costs.zero()).values("mean_ms")
    assert abs(estimate(found).z_score(10 * round_robin_response(servers, 0.8))) < Z


def mean_value_analysis(users: int, think: float, demands: list[float]) -> tuple[float, float]:
    """Throughput and response time of a closed network (M. Reiser and S. Lavenberg, JACM 27(2), 1980)."""
    queues = np.zeros(len(demands))
    throughput, response = 0.0, 0.0
    for number in range(1, users + 1):
        residence = np.array(demands) * (1 + queues)
        response = float(residence.sum())
        throughput = number / (think + response)
        queues = throughput * residence
    return throughput, response


def test_mean_value_analysis_gives_the_known_values() -> None:
    assert mean_value_analysis(20, 1.0, [0.1]) == pytest.approx((9.981, 1.0037), abs=5e-4)


def test_closed_users_over_unequal_servers_meet_mean_value_analysis(
    bare_scenario: Callable[..., Scenario],
) -> None:
    """Each server is visited by a third of the requests; one of them works twice as long."""
    scenario = bare_scenario(
        {"users": 25, "think": "exponential(200ms)"},
        {"replicas": 3, "service_time": "exponential(20ms)", "slow": {"2": 2.0}},
        balance="random",
        duration="40s",
        warmup="5s",
    )
    throughput, response = mean_value_analysis(25, 0.2, [0.02 / 3, 0.02 / 3, 0.04 / 3])
    result = simulate(scenario, 12, costs=Costs.zero())
    assert abs(estimate(result.values("throughput_rps")).z_score(throughput)) < Z
    assert abs(estimate(result.values("mean_ms")).z_score(1e3 * response)) < Z
