"""Formulas for equal servers, a balancer and Poisson arrivals; times in mean service times."""

from __future__ import annotations

import math


def mean_of_random(load: float) -> float:
    """Mean response time under random choice: each server is an independent M/M/1 queue."""
    return 1 / (1 - load)


def mean_of_random_with_equal_work(load: float) -> float:
    """The same if all requests have equal work: M/D/1 (F. Pollaczek, 1930; A. Khinchine, 1932)."""
    return 1 + load / (2 * (1 - load))


def mean_of_round_robin(load: float, servers: int) -> float:
    """Mean response time under round robin: every server gets each n-th arrival, E_n/M/1.

    1 / (1 - s), where s is the root below 1 of s = (n a / (n a + 1 - s)) ** n at load a
    (L. Kleinrock, "Queueing systems" 1, section 6.4, 1975).
    """
    root = 0.5
    for _ in range(10_000):
        better = (servers * load / (servers * load + 1 - root)) ** servers
        if abs(better - root) < 1e-13:
            break
        root = better
    return 1 / (1 - root)


def at_least(requests: int, load: float, choices: int) -> float:
    """Share of very many servers with at least `requests` requests, if each joins the shortest of `choices`.

    load ** ((d ** k - 1) / (d - 1)) for k requests and d choices
    (M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE Transactions on
    Parallel and Distributed Systems 12, 2001).
    """
    exponent = requests if choices == 1 else (choices**requests - 1) / (choices - 1)
    return math.exp(exponent * math.log(load)) if load else float(not requests)


def mean_of_choices(load: float, choices: int) -> float:
    """Mean response time that follows, by Little's law: requests in a server, divided by arrivals to it."""
    total, requests = 0.0, 1
    while (share := at_least(requests, load, choices)) > 1e-12:
        total += share
        requests += 1
    return total / load
