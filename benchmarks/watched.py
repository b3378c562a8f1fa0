"""The cost of a watched request in the simulator: beside a plain request, and beside a naive SimPy model.

Run ``python -m benchmarks.watched``. One core, processor time; the models run in turn, and the best run of
each counts. A watched request passes a bounded queue, a breaker, and attempts with a time limit, a retry
budget and ejection. The naive model has the same mechanisms in the usual SimPy style: a process for each
request and each attempt, `any_of` for what may come first, `Resource` for what is limited.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

import simpy

from benchmarks.simulator import rates
from scenarios import Scenario, parse_scenario
from simulator import Costs
from simulator.replication import simulate_once

SERVICE_S, BACKENDS, REQUESTS = 0.01, 4, 30_000
IN_FLIGHT, WAIT_S, FAILURES, OPEN_S = 40, 0.5, 50, 1.0
ATTEMPTS, BUDGET, SAVED = 3, 0.2, 10.0
ERRORS, EJECTED_S, MOST = 5, 10.0, 2
WATCHED = {
    "queue": {"in_flight": IN_FLIGHT, "wait": WAIT_S},
    "breaker": {"failures": FAILURES, "open": OPEN_S},
    "retry": {"attempts": ATTEMPTS, "budget": BUDGET},
    "eject": {"errors": ERRORS, "for": EJECTED_S, "most": MOST / BACKENDS},
}
LOADS = {"a load of 0.8, limit 1 s": (0.8, 1.0), "a load of 0.6, limit 60 ms": (0.6, 0.06)}
"""Load of the backends, and seconds for an answer: the second fails some of the attempts."""

Steps = Generator[simpy.Event, Any, Any]


def scenario_of(load: float, limit: float, service: dict[str, Any]) -> Scenario:
    rate = load * BACKENDS / SERVICE_S
    return parse_scenario(
        {
            "title": "speed",
            "duration": REQUESTS / rate,
            "workload": {"rate": rate},
            "backend": {"web": {"replicas": BACKENDS, "service_time": f"exponential({SERVICE_S * 1e3}ms)"}},
            "proxy": {
                "route": [{"to": "web"}],
                "service": {"web": {"upstreams": "web", "balance": "least_requests", **service}},
                "limits": {"threads": 4096, "answer_timeout": limit},
            },
        }
    ).scenario


def ours(load: float, limit: float, service: dict[str, Any]) -> int:
    return len(simulate_once(scenario_of(load, limit, service), Costs.zero()).records)


class Naive:
    """The same mechanisms, written as a SimPy tutorial would; it keeps no records."""

    def __init__(self, load: float, limit: float) -> None:
        self.env, self.chance = simpy.Environment(), random.Random(1)
        self.rate, self.limit = load * BACKENDS / SERVICE_S, limit
        self.queue = simpy.Resource(self.env, IN_FLIGHT)
        self.servers = [simpy.Resource(self.env) for _ in range(BACKENDS)]
        self.outstanding, self.errors, self.back_at = [0] * BACKENDS, [0] * BACKENDS, [0.0] * BACKENDS
        self.failures, self.open_until, self.saved = 0, 0.0, SAVED
        self.answered = 0

    def run(self) -> int:
        self.env.process(self.arrivals())
        self.env.run()
        return self.answered

    def arrivals(self) -> Steps:
        for _ in range(REQUESTS):
            yield self.env.timeout(self.chance.expovariate(self.rate))
            self.env.process(self.request())

    def request(self) -> Steps:
        with self.queue.request() as turn:
            got = yield turn | self.env.timeout(WAIT_S)
            if turn in got and self.env.now >= self.open_until:
                good = yield from self.attempts()
                self.failures = 0 if good else self.failures + 1
                if self.failures >= FAILURES:
                    self.open_until = self.env.now + OPEN_S
        self.answered += 1

    def attempts(self) -> Steps:
        self.saved = min(self.saved + BUDGET, SAVED)
        failed: list[int] = []
        for attempt in range(ATTEMPTS):
            if attempt:
                if self.saved < 1:
                    return False
                self.saved -= 1
            index = self.pick(failed)
            self.outstanding[index] += 1
            work = self.env.process(self.work(index))
            got = yield work | self.env.timeout(self.limit)
            self.outstanding[index] -= 1
            if work in got:
                self.errors[index] = 0
                return True
            failed.append(index)
            self.failed(index)
        return False

    def pick(self, failed: list[int]) -> int:
        now = self.env.now
        fit = [i for i in range(BACKENDS) if self.back_at[i] <= now and i not in failed]
        return min(fit or range(BACKENDS), key=lambda index: self.outstanding[index])

    def failed(self, index: int) -> None:
        now = self.env.now
        self.errors[index] += 1
        if self.errors[index] >= ERRORS and sum(at > now for at in self.back_at) < MOST:
            self.back_at[index], self.errors[index] = now + EJECTED_S, 0

    def work(self, index: int) -> Steps:
        """Goes on after the proxy has given up."""
        with self.servers[index].request() as turn:
            yield turn
            yield self.env.timeout(self.chance.expovariate(1 / SERVICE_S))


def main() -> None:
    for what, (load, limit) in LOADS.items():
        models: dict[str, Callable[[], int]] = {
            "plain": lambda load=load: ours(load, 86_400.0, {}),  # type: ignore[misc]
            "watched": lambda load=load, limit=limit: ours(load, limit, WATCHED),  # type: ignore[misc]
            "naive": lambda load=load, limit=limit: Naive(load, limit).run(),  # type: ignore[misc]
        }
        found = rates(models)
        plain, watched, naive = (found[name] for name in ("plain", "watched", "naive"))
        print(
            f"{what}: plain {plain / 1e3:.0f} k/s, watched {watched / 1e3:.0f} k/s, "
            f"naive SimPy {naive / 1e3:.0f} k/s: a watched request costs {plain / watched:.2f} plain ones "
            f"(limit 3), and is {watched / naive:.2f} x as fast as naive SimPy (floor 1)"
        )


if __name__ == "__main__":
    main()
