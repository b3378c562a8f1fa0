"""The calls of one replica to other backends, through the forward side of its sidecar.

Threads: each request's thread makes its calls, and starts a thread for each further call of a step. One lock
owns the idle connections and the rows of the log. A connection belongs to the thread that took it, which
gives it back or closes it. Every wait has a limit: the request's deadline, or a minute.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from loadtests.backend import deadline as deadlines
from loadtests.backend.demand import callee

DEPTH = "Proxytwin-Depth"
"""Field of a request: how many calls lead to it; a request of the clients has none."""
PASSED_ON = ("traceparent", "tracestate")
MOST = 1_000_000
"""Highest number of calls in the log; beyond it, the oldest are dropped."""
_LONGEST_S = 60.0

Row = tuple[str, int, float, float, int]
"""Who was asked, at which depth, begin and end on the monotonic clock, and the status."""


class Asked(NamedTuple):
    """The request that causes calls.

    Attributes
    ----------
    target : str
        Its path; calls are for the same one.
    depth : int
        How many calls led to it.
    deadline : float
        On the monotonic clock; infinite without one.
    fields : list of str
        The field lines that its calls carry.
    """

    target: str
    depth: int
    deadline: float
    fields: list[str]

    @classmethod
    def of(cls, target: str, fields: Mapping[str, str], deadline: float) -> Asked:
        """The request with this target and these fields."""
        passed = [f"{name}: {fields[name]}" for name in PASSED_ON if name in fields]
        depth = fields.get(DEPTH.lower(), "0")
        return cls(target, int(depth) if depth.isdecimal() and len(depth) < 6 else 0, deadline, passed)


class Egress:
    """Makes the calls of one replica.

    Parameters
    ----------
    port : int
        Of the forward side of its sidecar, on the loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._rows: deque[Row] = deque(maxlen=MOST)

    def make(self, steps: Sequence[Sequence[str]], asked: Asked) -> int:
        """Make the calls, one step after the other; returns the worst status, and stops after a failure.

        504 if the deadline passes before the last step.
        """
        for step in steps:
            if time.monotonic() >= asked.deadline:
                return 504
            if (status := self._at_once(step, asked)) >= 500:
                return status
        return 200

    def take(self, now: float) -> list[Row]:
        """The calls that have ended since the last time."""
        with self._lock:
            rows, self._rows = self._rows, deque(maxlen=MOST)
        return list(rows)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _at_once(self, step: Sequence[str], asked: Asked) -> int:
        statuses = [0] * len(step)

        def one(place: int) -> None:
            statuses[place] = self._call(step[place], asked)

        others = [
            threading.Thread(target=one, args=(place,), name="call", daemon=True)
            for place in range(1, len(step))
        ]
        for thread in others:
            thread.start()
        one(0)
        for thread in others:
            thread.join()
        return max(statuses)

    def _call(self, call: str, asked: Asked) -> int:
        begin = time.monotonic()
        try:
            status = self._exchange(call, asked, begin)
        except TimeoutError:
            status = 504
        except (OSError, http.client.HTTPException):
            status = 502
        row = callee(call), asked.depth + 1, begin, time.monotonic(), status
        with self._lock:
            self._rows.append(row)
        return status

    def _exchange(self, call: str, asked: Asked, now: float) -> int:
        """Send one call and read the whole response; returns its status."""
        connection = self._connection(min(asked.deadline - now, _LONGEST_S))
        kept = False
        try:
            connection.send(self._request(call, asked))
            answer = http.client.HTTPResponse(connection.sock, method="GET")
            with contextlib.closing(answer):
                answer.begin()
                while answer.read(65536):
                    pass
                kept = not answer.will_close
            return answer.status
        finally:
            if kept:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _request(self, call: str, asked: Asked) -> bytes:
        name = callee(call)
        lines = [
            f"GET http://{name}{asked.target} HTTP/1.1",  # RFC 9112, section 3.2.2: to a proxy
            f"Host: {name}",
            f"Proxytwin-Demand: {call}",
            f"{DEPTH}: {asked.depth + 1}",
            *deadlines.line(asked.deadline),
            *asked.fields,
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        """An idle connection that the sidecar has not closed, or a new one, with a limit for each wait."""
        limit = max(seconds, 0.001) if seconds < math.inf else _LONGEST_S
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=limit)
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            poll = select.poll()
            poll.register(connection.sock.fileno(), select.POLLIN)
            if not poll.poll(0):
                connection.sock.settimeout(limit)
                return connection
            connection.close()
