"""One replica of a backend: it reads requests, works, asks others, and responds.

Threads: one accepts, and one serves each connection, owns its socket and closes it. They share the replica's
`Slots`, its `FetchedObjects`, its `Egress`, and its random numbers, which have a lock. The main thread sets
`egress` before requests with calls come.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from loadtests.backend.acceptor import Port
from loadtests.backend.answer import send
from loadtests.backend.calls import Asked, Egress
from loadtests.backend.chance import latency, own_error, own_work
from loadtests.backend.deadline import deadline_of
from loadtests.backend.demand import AnotherBackend, Demand, demanded
from loadtests.backend.fetch_log import FetchedObjects, object_number
from loadtests.backend.request import BadRequest, Head, discard_body, read_head
from loadtests.backend.slots import Slots, Totals

HEALTH_CHECK = "proxytwin-health"
"""The User-Agent of the proxy's health checks, repeated here so that backends need not load the proxy."""
REFUSAL = "Proxytwin-Refusal"
"""Field of a response: why this backend does not work on the request."""
PAST_DUE = -1
"""Instead of a status: the deadline was past before the work began; the response is 504."""
_IDLE_S = 300.0


class Replica:
    """One server: its port, its slots, and its responses.

    Parameters
    ----------
    backend : str
        Name of its backend.
    number : int
        Its number among the backend's replicas.
    settings : dict
        All optional: ``concurrency``, ``slow`` (factors by replica number), ``slow_during``, ``fail``,
        ``cache_control``; with a ``seed`` also ``jitter``, ``hiccup`` and ``errors``, as in a scenario, and
        ``latency``, the scenario's ``link.backend``.

    Attributes
    ----------
    egress : Egress or None
        Makes its calls; None without a sidecar.
    port : int
        Where it listens; at any free port by default.
    """

    def __init__(self, backend: str, number: int, settings: dict[str, Any], port: int = 0) -> None:
        self.backend, self.number = backend, number
        self.name = f"{backend}/{number}"
        slow = {int(key): float(value) for key, value in (settings.get("slow") or {}).items()}
        slow_later = {int(key) for key in settings.get("slow_during") or {}}
        self._concurrency = int(settings.get("concurrency", 1))
        self.slots = Slots(self._concurrency, 1.0 if number in slow_later else slow.get(number, 1.0))
        self._before = Totals()
        self.fetched = FetchedObjects()
        self.egress: Egress | None = None
        self._chance = threading.Lock()
        self._own_work, self._latency = own_work(settings, self.name), latency(settings, self.name)
        self._own_error = own_error(settings, self.name)
        self._good = [f"Cache-Control: {settings['cache_control']}"] if settings.get("cache_control") else []
        """What only good responses have: no error is to be stored."""
        self._accepting = Port(self.name, self._serve, port)
        self.port = self._accepting.number

    def come_up(self) -> None:
        """Accept connections."""
        self._accepting.open()

    def go_down(self) -> None:
        """Drop all requests, and refuse connections. Dropped requests do not count as served."""
        lost, self.slots = self.slots, Slots(self._concurrency, self.slots.slow)
        self._before = self._before.plus(lost.totals())
        self._accepting.close()

    def work_slowly(self, factor: float) -> None:
        """Work that starts from now on takes `factor` times as long."""
        self.slots.slow = factor

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_IDLE_S)
        with connection.makefile("rb") as reader, contextlib.suppress(OSError):
            try:
                while (head := read_head(reader)) is not None:
                    discard_body(head, reader, connection)
                    self._answer(head, connection)
                    if not head.keep_alive:
                        return
            except BadRequest as problem:
                text = f"{problem}\n".encode()
                connection.sendall(self._head(400, len(text), keep_alive=False) + text)

    def _answer(self, head: Head, connection: socket.socket) -> None:
        if head.target.startswith("/-/"):
            body = json.dumps(self._told(head.target)).encode() + b"\n"
            connection.sendall(self._head(200, len(body), keep_alive=head.keep_alive) + body)
            return
        if head.fields.get("user-agent") == HEALTH_CHECK:
            connection.sendall(self._head(200, 0, keep_alive=head.keep_alive))
            return
        try:
            demand, size = demanded(head.fields.get("proxytwin-demand", ""), self.backend), head.size()
            self._check_egress(demand)
        except AnotherBackend as problem:
            said = str(problem).encode("ascii", "replace").decode()
            connection.sendall(self._head(400, 0, f"{REFUSAL}: {said}", keep_alive=head.keep_alive))
            return
        status = self._status(head, demand)
        if status == PAST_DUE:
            connection.sendall(self._head(504, 0, keep_alive=head.keep_alive, worked=False))
            return
        size = size if status in (200, 500) else 0
        send(
            connection,
            self._head(status, size, keep_alive=head.keep_alive),
            0 if head.method == "HEAD" else size,
        )

    def _check_egress(self, demand: Demand) -> None:
        if demand.steps and self.egress is None:
            raise AnotherBackend(f"{self.name} has no sidecar, so it cannot ask others")

    def _status(self, head: Head, demand: Demand) -> int:
        """Work on a request, and make its calls; returns the status of the response."""
        arrival = time.monotonic()
        deadline = deadline_of(head.fields, arrival)
        self._be_under_way()
        fetch = self.fetched.begin(object_number(head.target), time.monotonic())
        seconds, made = demand.seconds, 200
        if self._own_work is not None:
            with self._chance:
                seconds += self._own_work()

        def ask() -> None:
            nonlocal made
            assert self.egress is not None
            made = self.egress.make(demand.steps, Asked.of(head.target, head.fields, deadline))

        if not self.slots.work(seconds, deadline, ask if demand.steps else None):
            return PAST_DUE
        status = 200 if made < 500 else 504 if time.monotonic() >= deadline else 502
        if status == 200 and self._own_error is not None:
            with self._chance:
                status = 500 if self._own_error() else 200
        self.fetched.end(fetch, time.monotonic())
        self._be_under_way()
        return status

    def _told(self, target: str) -> object:
        """What a replica says of itself: its totals, or its fetches or calls since the last time."""
        now = time.monotonic()
        if target == "/-/fetches":
            return self.fetched.take(now)
        if target == "/-/calls":
            return [] if self.egress is None else self.egress.take(now)
        return self.stats()

    def _be_under_way(self) -> None:
        """Wait for the latency of the link from or to the proxy."""
        if self._latency is not None:
            with self._chance:
                seconds = self._latency()
            time.sleep(seconds)

    def _head(self, status: int, size: int, *more: str, keep_alive: bool, worked: bool = True) -> bytes:
        """A response's head; it names this replica if that has `worked`."""
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Date: {formatdate(usegmt=True)}",
            *([f"Proxytwin-Upstream: {self.name}"] if worked else ()),
            "Content-Type: text/plain",
            *(self._good if status == 200 else ()),
            *more,
            f"Content-Length: {size}",
        ]
        if not keep_alive:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def stats(self) -> dict[str, float | str]:
        """The totals of this replica, and the CPU seconds of the whole process."""
        totals = self._before.plus(self.slots.totals())
        return {"upstream": self.name, **vars(totals), "cpu_seconds": time.process_time()}
