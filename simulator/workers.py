"""A proxy of several workers: which of them gets a request."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from scenarios.workload import Request
from simulator.links import Asking, Handle


class Connections:
    """The connections of a user, a load generator or a proxy, each to the worker that the kernel gave it.

    The kernel deals connections out by a hash of addresses and ports (``SO_REUSEPORT``), so that
    each goes to any worker with equal chances, and stays there. A client takes the connection
    that it used last, and opens another one if all are busy, as load generators and proxies do.

    Parameters
    ----------
    workers : sequence of Handle
        How each is asked; at least one.
    chance : random.Random
        The kernel's hash.
    """

    def __init__(self, workers: Sequence[Handle], chance: random.Random) -> None:
        self._workers = workers
        self._chance = chance
        self._idle: defaultdict[str, list[Handle]] = defaultdict(list)

    def handle(self, request: Request, now: float) -> Asking:
        """Ask on an idle connection, or on a new one."""
        idle = self._idle[request.client]
        worker = idle.pop() if idle else self._chance.choice(self._workers)
        reply = yield from worker(request, now)
        idle.append(worker)
        return reply


def connect(workers: Sequence[Handle], chance: random.Random) -> Handle:
    """How a new client asks a proxy; one worker needs no connections in the model."""
    return workers[0] if len(workers) == 1 else Connections(workers, chance).handle
