"""Clients: closed users who wait for their answers, and open arrivals who do not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from simpy import Environment, Event

from scenarios.records import Ledger
from scenarios.workload import Request, Workload
from simulator.life import Life
from simulator.proxy import Proxy
from simulator.slots import Slots


class Clients:
    """Send a workload to a proxy until `duration`, and record every answer.

    Parameters
    ----------
    env : simpy.Environment
    workload : Workload
        Whose streams are sent, on as many connections as it has.
    proxy : Proxy
        Who answers.
    duration : float
        Seconds after which nothing new is sent; what is under way is waited for.

    Attributes
    ----------
    ledger : Ledger
        One row per answered request, in the order of the answers.
    """

    def __init__(self, env: Environment, workload: Workload, proxy: Proxy, duration: float) -> None:
        self._env = env
        self._workload = workload
        self._proxy = proxy
        self._duration = duration
        self._connections = Slots(env, workload.connections or sys.maxsize)
        self.ledger = Ledger()

    def start(self) -> None:
        """Begin all streams at the present time."""
        run = self._user if self._workload.closed else self._arrivals
        for number in range(self._workload.streams):
            Life(run(number))

    def _user(self, number: int) -> Iterator[Event]:
        env, duration = self._env, self._duration
        for seq, request in enumerate(self._workload.stream(number)):
            if env.now + request.pause >= duration:
                return
            yield env.timeout(request.pause)
            yield from self._ask(number, seq, request)

    def _arrivals(self, number: int) -> Iterator[Event]:
        env, duration, due = self._env, self._duration, 0.0
        for seq, request in enumerate(self._workload.stream(number)):
            due += request.pause
            if due >= duration:
                return
            yield env.timeout(due - env.now)
            Life(self._ask(number, seq, request))

    def _ask(self, number: int, seq: int, request: Request) -> Iterator[Event]:
        due = self._env.now
        turn = self._connections.enter()
        if turn is not None:
            yield turn
        sent = self._env.now
        status, hit, upstream = yield from self._proxy.handle(request, sent)
        done = self._env.now
        self._connections.leave()
        row = number, seq, request.object, due, sent, done, status, hit, upstream, request.size
        self.ledger.append(row)
