"""The requests of every user, drawn from the scenario's seed: the same in simulator and real run.

Each user has separate random streams, one per quantity. So a change of one quantity, or of the number
of requests of another user, does not change anything else (common random numbers).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Address
from itertools import chain, islice, repeat
from typing import NamedTuple

import numpy as np
import numpy.random  # early: NumPy would import it at the first draw, and lose a Ctrl-C during the import

from scenarios.call_tree import CallTrees, PlannedCall, Steps
from scenarios.schema import Scenario, WorkloadSettings
from scenarios.timeline import timeline
from scenarios.traces import Trace

_BLOCK = 128
_OBJECTS_KEY = 2**31
"""Stream of the sizes of objects; users have smaller numbers."""
_PROFILE_KEY = 2**31 + 1
"""Stream that decides which arrivals a load profile keeps."""
_CLIENTS_KEY = 2**31 + 2
"""Stream of the client addresses of an open load."""


@cache
def client_address(number: int) -> str:
    """The loopback address of a client, by its number; the proxy sees it as the source of its requests.

    Examples
    --------
    >>> client_address(0), client_address(1), client_address(255)
    ('127.0.0.1', '127.0.0.2', '127.0.1.0')
    """
    return str(IPv4Address("127.0.0.1") + number)


class Request(NamedTuple):
    """A request before it is sent.

    Attributes
    ----------
    pause : float
        Seconds since this stream's last response (closed load) or last arrival (open load, trace).
    object : int
        Number of the object.
    size : int
        Bytes of its body.
    demand : tuple of float
        Seconds of work at each backend, in the order of the scenario's file.
    client : str
        Source address.
    calls : tuple of Steps
        What each backend asks others if it gets the request first, in the order of the scenario's file;
        empty if none of them has calls.
    depth : int
        How many calls led to it; 0 for a request of a client.
    left : float
        Seconds that are left for the response when the request arrives; infinity without a deadline, as
        clients send it.
    """

    pause: float
    object: int
    size: int
    demand: tuple[float, ...]
    client: str
    calls: tuple[Steps, ...] = ()
    depth: int = 0
    left: float = math.inf

    def to(self, call: PlannedCall) -> Request:
        """The request that makes a call: for the same object, with the call's work at its backend."""
        demand, calls = [0.0] * len(self.demand), [()] * len(self.demand)
        demand[call.backend], calls[call.backend] = call.demand, call.calls
        return self._replace(demand=tuple(demand), calls=tuple(calls), depth=self.depth + 1)


def random_streams(seed: int, number: int, count: int) -> list[np.random.Generator]:
    """Separate streams of random numbers of one user, or of another purpose with its own number."""
    seeds = np.random.SeedSequence(seed, spawn_key=(number,)).spawn(count)
    return [np.random.default_rng(one) for one in seeds]


def pauses(settings: WorkloadSettings, seed: int, rng: np.random.Generator) -> Iterator[float]:
    """Endless pauses of a stream that replays no trace, in seconds; `rng` is the stream's first one."""
    rate, profile = settings.rate, settings.profile
    if rate is not None and profile is not None:
        yield from profile.pauses(rate, rng, random_streams(seed, _PROFILE_KEY, 1)[0])
    while True:
        if rate is not None:
            yield from rng.exponential(1.0 / rate, _BLOCK).tolist()
        else:
            yield from settings.think.sample(rng, _BLOCK).tolist()


class Workload:
    """The requests of a scenario's clients.

    Parameters
    ----------
    scenario : Scenario

    Attributes
    ----------
    closed : bool
        Whether a stream's pause counts from its last response.
    endless : bool
        Whether a stream goes on after the scenario's duration. A replay of a trace ends before it.
    streams : int
        Independent streams of requests: one per closed user, one for an open load.
    clients : int
        Number of clients, each with its own address.
    connections : int or None
        Most requests of an open load in progress at once; ``None`` for no limit.
    fanout : int
        Number of requests that form one request of a client.
    sizes : ndarray of int64
        Bytes of each object, by number.

    Raises
    ------
    BadInput
        If the trace cannot be read.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._settings = scenario.workload
        self._seed = scenario.seed
        self._backends, self._asked_first = scenario.backend, scenario.asked_first
        self._service = [backend.service_time for backend in scenario.backend.values()]
        self.closed = self._settings.users is not None
        self.endless = self._settings.trace is None
        self.streams = self._settings.users or 1
        self.clients = self._settings.users or self._settings.clients
        self.connections = self._settings.connections
        self.fanout = self._settings.fanout
        self._trace = None if self._settings.trace is None else timeline(self._settings).trace
        self._duration = scenario.duration
        if self._trace is not None:
            self.sizes = self._trace.sizes
            return
        rng = random_streams(self._seed, _OBJECTS_KEY, 1)[0]
        drawn = np.rint(self._settings.size.sample(rng, self._settings.objects))
        self.sizes = np.maximum(drawn, 0).astype(np.int64)
        self._popularity = np.cumsum(self._settings.popularity.probabilities(self._settings.objects))
        self._popularity[-1] = 1.0

    def stream(self, number: int) -> Iterator[Request]:
        """The requests of one stream; endless unless it replays a trace.

        Parameters
        ----------
        number : int
            From 0 to `streams` - 1.
        """
        return self._drawn(number) if self._trace is None else self._replayed(self._trace)

    def wholes(self, number: int) -> Iterator[list[Request]]:
        """The requests of one stream in groups that are sent at once; only a group's first pause counts."""
        stream = self.stream(number)
        while parts := list(islice(stream, self.fanout)):
            yield parts

    def _drawn(self, number: int) -> Iterator[Request]:
        gaps, objects, *demands = random_streams(self._seed, number, 2 + len(self._service))
        sizes, clients, trees = self.sizes, self._addresses(number), self._trees(number)
        waits = pauses(self._settings, self._seed, gaps)
        while True:
            asked = np.searchsorted(self._popularity, objects.random(_BLOCK), side="right")
            works = (
                dist.sample(rng, _BLOCK).tolist() for dist, rng in zip(self._service, demands, strict=True)
            )
            yield from map(
                Request,
                islice(waits, _BLOCK),
                asked.tolist(),
                sizes[asked].tolist(),
                zip(*works, strict=True),
                clients,
                trees,
            )

    def _trees(self, number: int) -> Iterator[tuple[Steps, ...]]:
        """The calls of each request of a stream; none without a call graph."""
        if not any(self._backends[name].calls for name in self._asked_first):
            return repeat(())
        return CallTrees(self._backends, self._asked_first, self._seed, number).trees()

    def _addresses(self, number: int) -> Iterator[str]:
        count = self._settings.clients
        if self.closed or count == 1:
            return repeat(client_address(number))
        rng = random_streams(self._seed, _CLIENTS_KEY, 1)[0]
        blocks = (rng.integers(count, size=_BLOCK).tolist() for _ in repeat(None))
        return map(client_address, chain.from_iterable(blocks))

    def _replayed(self, trace: Trace) -> Iterator[Request]:
        demands = random_streams(self._seed, 0, 2 + len(self._service))[2:]
        last, clients, trees, fanout = 0.0, self._addresses(0), self._trees(0), self.fanout
        count = int(np.searchsorted(trace.times[::fanout], self._duration)) * fanout
        for start in range(0, min(count, len(trace.times)), _BLOCK):
            rows = slice(start, min(start + _BLOCK, count))
            times = trace.times[rows].tolist()
            drawn = [
                d.sample(rng, len(times)).tolist() for d, rng in zip(self._service, demands, strict=True)
            ]
            if trace.service is not None:
                drawn = [trace.service[rows].tolist()] * len(self._service)
            asked = trace.objects[rows].tolist()
            for row, (time, number, demand) in enumerate(
                zip(times, asked, zip(*drawn, strict=True), strict=True), start
            ):
                pause = 0.0 if row % fanout else time - last
                last += pause  # as those who wait will add up
                yield Request(pause, number, int(self.sizes[number]), demand, next(clients), next(trees))
