"""The speed of the simulator, compared with a simple SimPy model of the same system and with Ciw.

Run ``python -m benchmarks.simulator [ratios] [flat] [memory]``. It uses one core and measures processor time.
The models run in turn, and the best run of each counts. If Ciw is not installed (``pip install ciw``), it is
skipped with a message.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import simpy

from scenarios import Scenario, parse_scenario
from simulator import Costs
from simulator.replication import simulate_once

LOAD, SERVICE_S, BACKENDS, THREADS = 0.8, 0.01, 4, 64
REQUESTS, TURNS = 60_000, 5
FLAT = (10_000, 100_000, 1_000_000)
MANY, MEMORY_GIB = 10_000_000, 1.5


def scenario_of(requests: int, backends: int) -> Scenario:
    rate = LOAD * backends / SERVICE_S
    return parse_scenario(
        {
            "title": "speed",
            "duration": requests / rate,
            "workload": {"rate": rate},
            "backend": {"web": {"replicas": backends, "service_time": f"exponential({SERVICE_S * 1e3}ms)"}},
            "proxy": {
                "route": [{"to": "web"}],
                "service": {
                    "web": {"upstreams": "web", **({"balance": "least_requests"} if backends > 1 else {})}
                },
                "limits": {"threads": THREADS, "answer_timeout": "1d"},
            },
        }
    ).scenario


def ours(requests: int, backends: int) -> int:
    """The simulator, with records, queues, a summary and the real proxy's policies."""
    return len(simulate_once(scenario_of(requests, backends), Costs.zero()).records)


def naive(requests: int, backends: int) -> int:
    """A simple SimPy model, without records and policies."""
    env, chance = simpy.Environment(), random.Random(1)
    threads = simpy.Resource(env, THREADS)
    servers = [simpy.Resource(env) for _ in range(backends)]
    answered = 0

    def request() -> Iterator[simpy.Event]:
        nonlocal answered
        with threads.request() as thread:
            yield thread
            server = min(servers, key=lambda each: each.count + len(each.queue))
            with server.request() as turn:
                yield turn
                yield env.timeout(chance.expovariate(1 / SERVICE_S))
        answered += 1

    def arrivals() -> Iterator[simpy.Event]:
        for _ in range(requests):
            yield env.timeout(chance.expovariate(LOAD * backends / SERVICE_S))
            env.process(request())

    env.process(arrivals())
    env.run()
    return answered


def in_ciw(requests: int) -> int:
    """M/M/1, with the records that Ciw keeps."""
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=LOAD / SERVICE_S)],
        service_distributions=[ciw.dists.Exponential(rate=1 / SERVICE_S)],
        number_of_servers=[1],
    )
    ciw.seed(1)
    model = ciw.Simulation(network)
    model.simulate_until_max_time(requests * SERVICE_S / LOAD)
    return len(model.get_all_records())


def rates(models: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Requests per second of processor time; the models run in turn, and the best run of each counts."""
    best = dict.fromkeys(models, 0.0)
    for _ in range(TURNS):
        for name, model in models.items():
            began = time.process_time()
            done = model()
            best[name] = max(best[name], done / (time.process_time() - began))
    return best


def show_ratio(what: str, ours_rate: float, other: str, other_rate: float, floor: float) -> None:
    print(
        f"{what}: {ours_rate / 1e3:.0f} k/s, {other} {other_rate / 1e3:.0f} k/s: "
        f"{ours_rate / other_rate:.2f} x (floor {floor:g})"
    )


def ratios() -> None:
    found = rates({"ours": lambda: ours(REQUESTS, BACKENDS), "naive": lambda: naive(REQUESTS, BACKENDS)})
    show_ratio("proxy and four backends", found["ours"], "naive SimPy", found["naive"], 2.0)
    models: dict[str, Callable[[], int]] = {"ours": lambda: ours(REQUESTS, 1)}
    if importlib.util.find_spec("ciw") is None:
        print("M/M/1: Ciw is not installed, no ratio")
        return
    found = rates({**models, "ciw": lambda: in_ciw(REQUESTS)})
    show_ratio("M/M/1", found["ours"], "Ciw", found["ciw"], 3.0)


def flat() -> None:
    """Cost per request must not grow with the length of a run."""
    for requests in FLAT:
        turns = [_timed(requests) for _ in range(max(1, min(TURNS, 500_000 // requests)))]
        print(f"{requests:>10,} requests: {min(turns) * 1e6:.2f} µs each")


def _timed(requests: int) -> float:
    began = time.process_time()
    done = ours(requests, BACKENDS)
    return (time.process_time() - began) / done


def memory() -> None:
    """Peak memory, measured in a separate process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, peak = pool.apply(_peak, (MANY,))
    print(
        f"{MANY:>10,} requests: {seconds / MANY * 1e6:.2f} µs each, "
        f"peak {peak:.2f} GiB (limit {MEMORY_GIB:g})"
    )


def _peak(requests: int) -> tuple[float, float]:
    began = time.process_time()
    ours(requests, BACKENDS)
    return time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


PARTS: dict[str, Callable[[], Any]] = {"ratios": ratios, "flat": flat, "memory": memory}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
