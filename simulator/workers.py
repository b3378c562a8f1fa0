"""A proxy of several workers: which of them gets a request."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from scenarios.workload import Request
from simulator.processes import Asking, Handle


class Turns:
    """Which worker of a proxy accepts the next connection: one that has the fewest.

    See `realproxy.server.accept_balance`.

    Parameters
    ----------
    workers : int
        How many there are.
    chance : random.Random
        Decides among those that have equally few.
    """

    def __init__(self, workers: int, chance: random.Random) -> None:
        self._open = [0] * workers
        self._chance = chance

    def accept(self) -> int:
        """The number of the worker that has one more connection now."""
        fewest = min(self._open)
        worker = self._chance.choice([n for n, count in enumerate(self._open) if count == fewest])
        self._open[worker] += 1
        return worker


class Connections:
    """The connections of a user, a load generator or a proxy, each to the worker that accepted it.

    A client takes the connection that it used last, and opens another one if all are busy, as load
    generators and proxies do.

    Parameters
    ----------
    workers : sequence of Handle
        How each is asked; at least one.
    turns : Turns
        Of the proxy that they belong to.
    """

    def __init__(self, workers: Sequence[Handle], turns: Turns) -> None:
        self._workers = workers
        self._turns = turns
        self._idle: defaultdict[str, list[Handle]] = defaultdict(list)

    def handle(self, request: Request, now: float) -> Asking:
        """Ask on an idle connection, or on a new one."""
        idle = self._idle[request.client]
        worker = idle.pop() if idle else self._workers[self._turns.accept()]
        reply = yield from worker(request, now)
        idle.append(worker)
        return reply


def connect(workers: Sequence[Handle], turns: Turns) -> Handle:
    """How a new client asks a proxy; one worker needs no connections in the model."""
    return workers[0] if len(workers) == 1 else Connections(workers, turns).handle
