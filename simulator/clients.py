"""Clients: closed users, who wait for their responses, and open arrivals, which do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from simpy import Environment, Event

from scenarios.records import Ledger
from scenarios.workload import Request, Workload
from simulator.chain import Chain
from simulator.processes import Handle, Life
from simulator.slots import Slots


class Clients:
    """Send a workload to the doors until `duration`, and record every response.

    Parameters
    ----------
    env : simpy.Environment
    workload : Workload
    chain : Chain
    duration : float
        Seconds after which no new request is sent; the run ends with the last response.

    Attributes
    ----------
    ledger : Ledger
        One row per answered request, in the order of the responses.
    """

    def __init__(self, env: Environment, workload: Workload, chain: Chain, duration: float) -> None:
        self._env = env
        self._workload = workload
        self._chain = chain
        self._duration = duration
        self._connections = None if workload.connections is None else Slots(env, workload.connections)
        self.ledger = Ledger()

    def start(self) -> None:
        """Start all streams now."""
        run = self._user if self._workload.closed else self._arrivals
        for number in range(self._workload.streams):
            Life(run(number))

    def _user(self, number: int) -> Iterator[Event]:
        env, duration, fanout = self._env, self._duration, self._workload.fanout
        handle, stream = self._chain.connect(number), self._workload.stream(number)
        for seq, request in enumerate(stream):
            if env.now + request.pause >= duration:
                return
            yield env.timeout(request.pause)
            if fanout == 1:
                yield from self._ask(handle, number, seq, request, env.now)
            else:
                parts = [request, *islice(stream, fanout - 1)]
                yield self._ask_all(handle, number, seq * fanout, parts, env.now)

    def _arrivals(self, number: int) -> Iterator[Event]:
        env, duration, fanout, due = self._env, self._duration, self._workload.fanout, 0.0
        handle, stream = self._chain.connect_all(self._workload.clients), self._workload.stream(number)
        for seq, request in enumerate(stream):
            due += request.pause
            if due >= duration and self._workload.endless:
                return
            yield env.timeout(max(due - env.now, 0.0))
            if fanout == 1:
                Life(self._ask(handle, number, seq, request, due))
            else:
                self._ask_all(handle, number, seq * fanout, [request, *islice(stream, fanout - 1)], due)

    def _ask_all(self, handle: Handle, number: int, seq: int, parts: Sequence[Request], due: float) -> Event:
        """Send several requests at once; the event fires with the last of their responses."""
        answered, left = self._env.event(), len(parts)

        def ask(place: int) -> Iterator[Event]:
            nonlocal left
            yield from self._ask(handle, number, seq + place, parts[place], due)
            left -= 1
            if not left:
                answered.succeed()

        for place in range(len(parts)):
            Life(ask(place))
        return answered

    def _ask(self, handle: Handle, number: int, seq: int, request: Request, due: float) -> Iterator[Event]:
        sent = self._env.now
        connections = self._connections
        if connections is not None and (grant := connections.enter()) is not None:
            yield grant
            sent = self._env.now
        status, cache, upstream, _, _ = yield from handle(request, sent)
        done = self._env.now
        if connections is not None:
            connections.leave()
        row = number, seq, request.object, due, sent, done, status, cache, upstream, request.size
        self.ledger.append(row)
