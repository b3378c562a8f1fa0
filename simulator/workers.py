"""A proxy with several workers: which of them gets a request."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from scenarios.workload import Request
from simulator.processes import Asking, Handle


class AcceptBalance:
    """Which worker of a proxy accepts the next connection: one with the fewest connections.

    See `realproxy.server.accept_balance`.

    Parameters
    ----------
    workers : int
        Number of workers.
    chance : random.Random
        Breaks ties.
    """

    def __init__(self, workers: int, chance: random.Random) -> None:
        self._open = [0] * workers
        self._chance = chance

    def accept(self) -> int:
        """Count a new connection; returns the number of its worker."""
        fewest = min(self._open)
        worker = self._chance.choice([n for n, count in enumerate(self._open) if count == fewest])
        self._open[worker] += 1
        return worker


class Connections:
    """The connections of a user, a load generator or a proxy; each belongs to the worker that accepted it.

    A client uses the idle connection that it used last, and opens another one if all are busy, as load
    generators and proxies do.

    Parameters
    ----------
    workers : sequence of Handle
        Send a request to each worker; at least one.
    balance : AcceptBalance
        Of the proxy.
    """

    def __init__(self, workers: Sequence[Handle], balance: AcceptBalance) -> None:
        self._workers = workers
        self._balance = balance
        self._idle: defaultdict[str, list[Handle]] = defaultdict(list)

    def handle(self, request: Request, now: float) -> Asking:
        """Send a request on an idle connection, or on a new one."""
        idle = self._idle[request.client]
        worker = idle.pop() if idle else self._workers[self._balance.accept()]
        reply = yield from worker(request, now)
        idle.append(worker)
        return reply


def connect(workers: Sequence[Handle], balance: AcceptBalance) -> Handle:
    """A handle by which a new client sends requests to a proxy; for one worker, connections do not matter."""
    return workers[0] if len(workers) == 1 else Connections(workers, balance).handle
