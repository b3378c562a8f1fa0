"""Real backends: all replicas of all backends of a scenario, as HTTP servers in one process.

``python -m loadtests.backend.server '{"web": {"replicas": 2, "concurrency": 4}}'`` prints one JSON line
with the port of each replica and serves until SIGTERM or Ctrl-C. Fields of a request set its work:

- ``Proxytwin-Demand: web=0.0312;api=0.002``: seconds of work at each backend; none by default. A backend
  that it does not name refuses the request.
- ``Proxytwin-Size: 2048``: bytes of the response's body; 1024 by default.

``GET /-/stats`` returns the totals of a replica. ``GET /-/fetches`` returns its fetches since the last such
request. Neither takes a slot, and a proxy's health check does not take one either.

With ``--until-eof`` the process reads commands from standard input, one JSON object per line, and writes
each line back when the command is done. ``{"start": 1234.5}`` (on the monotonic clock) begins a run, with
the faults of ``fail``, ``slow`` and ``slow_during``; ``{"start": null}`` ends it.

Threads: the main thread owns the `FaultSchedule`, whose thread closes and opens ports. Each replica has a
thread that accepts. Each connection has a thread that owns its socket and closes it. The threads of a
replica share its `Slots`, its `FetchedObjects`, and its random numbers, which have a lock.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.backend.acceptor import Port
from loadtests.backend.fault_schedule import FaultSchedule
from loadtests.backend.fetch_log import FetchedObjects, object_number
from loadtests.backend.slots import Slots, Totals
from loadtests.descriptors import allow_many_descriptors

HEALTH_CHECK = "proxytwin-health"
"""The User-Agent of the proxy's health checks, repeated here so that backends need not load the proxy."""
REFUSAL = "Proxytwin-Refusal"
"""Field of a response: why this backend does not work on the request."""
_HEAD_LIMIT = 64 * 1024
_IDLE_S = 300.0
_BLOCK = memoryview(b"proxytwin test body, line of 32\n" * 2048)


class BadRequest(ValueError):
    """The request cannot be read; the response is 400, and the connection is closed."""


class AnotherBackend(ValueError):
    """The request is for a backend with another name; the response is 400, with `REFUSAL`."""


class Head(NamedTuple):
    """A request's head: method, target, version, and fields by lower-case name."""

    method: str
    target: str
    version: str
    fields: dict[str, str]

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open after the response (RFC 9112, section 9.3)."""
        options = [option.strip() for option in self.fields.get("connection", "").lower().split(",")]
        if "close" in options:
            return False
        return self.version == "HTTP/1.1" or "keep-alive" in options

    def demand(self, backend: str) -> float:
        """Seconds of work that this request demands of `backend`; 0 if it demands none of anybody.

        Raises
        ------
        AnotherBackend
            If it demands work only of backends with other names.
        """
        items = self.fields.get("proxytwin-demand", "").split(";")
        demands = {
            name.strip(): seconds for name, equals, seconds in (i.partition("=") for i in items) if equals
        }
        if demands and backend not in demands:
            from policies.registry import nearest  # rarely needed, and the policies take long to load

            hint = nearest(backend, list(demands))
            raise AnotherBackend(
                f"this backend is called {backend!r}, which the scenario does not know{hint}"
            )
        return max(_number(demands.get(backend, "0")), 0.0)

    def size(self) -> int:
        """Bytes of body that the response should have."""
        return max(int(_number(self.fields.get("proxytwin-size", "1024"))), 0)


def _own_work(settings: dict[str, Any], replica: str) -> Callable[[], float] | None:
    """A function that draws the random extra work of a server; None without ``jitter`` and ``hiccup``."""
    if not settings.get("jitter") and not settings.get("hiccup"):
        return None
    from scenarios.schema import BackendSettings

    chance = BackendSettings(jitter=settings.get("jitter"), hiccup=settings.get("hiccup"))
    return chance.own_work(settings["seed"], replica)


def _own_error(settings: dict[str, Any], replica: str) -> Callable[[], bool] | None:
    """A function that says whether the next response is an error; None without ``errors``."""
    if not settings.get("errors"):
        return None
    from scenarios.chance import own_errors

    return own_errors(settings["errors"], settings["seed"], replica)


def _latency(settings: dict[str, Any], replica: str) -> Callable[[], float] | None:
    """A function that draws the latency of the link between proxy and server; None without ``latency``."""
    if not settings.get("latency"):
        return None
    from scenarios.distributions import parse_distribution
    from scenarios.latency import latency_draws

    return latency_draws(parse_distribution(settings["latency"]), settings["seed"], replica)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRequest(f"expected a number, not {text!r}")
    return value


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
        self._chance = threading.Lock()
        self._own_work, self._latency = _own_work(settings, self.name), _latency(settings, self.name)
        self._own_error = _own_error(settings, self.name)
        self._fields = f"Proxytwin-Upstream: {self.name}\r\nContent-Type: text/plain"
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
                while (head := _read_head(reader)) is not None:
                    _discard_body(head, reader, connection)
                    self._answer(head, connection)
                    if not head.keep_alive:
                        return
            except BadRequest as problem:
                text = f"{problem}\n".encode()
                connection.sendall(self._head(400, len(text), keep_alive=False) + text)

    def _answer(self, head: Head, connection: socket.socket) -> None:
        if head.target.startswith("/-/"):
            told = self.fetched.take(time.monotonic()) if head.target == "/-/fetches" else self.stats()
            body = json.dumps(told).encode() + b"\n"
            connection.sendall(self._head(200, len(body), keep_alive=head.keep_alive) + body)
            return
        if head.fields.get("user-agent") == HEALTH_CHECK:
            connection.sendall(self._head(200, 0, keep_alive=head.keep_alive))
            return
        try:
            demand, size = head.demand(self.backend), head.size()
        except AnotherBackend as problem:
            said = str(problem).encode("ascii", "replace").decode()
            connection.sendall(self._head(400, 0, f"{REFUSAL}: {said}", keep_alive=head.keep_alive))
            return
        self._be_under_way()
        fetch = self.fetched.begin(object_number(head.target), time.monotonic())
        if self._own_work is not None:
            with self._chance:
                demand += self._own_work()
        self.slots.work(demand)
        status = 200
        if self._own_error is not None:
            with self._chance:
                status = 500 if self._own_error() else 200
        self.fetched.end(fetch, time.monotonic())
        self._be_under_way()
        _send(
            connection,
            self._head(status, size, keep_alive=head.keep_alive),
            0 if head.method == "HEAD" else size,
        )

    def _be_under_way(self) -> None:
        """Wait for the latency of the link from or to the proxy."""
        if self._latency is not None:
            with self._chance:
                seconds = self._latency()
            time.sleep(seconds)

    def _head(self, status: int, size: int, *more: str, keep_alive: bool) -> bytes:
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Date: {formatdate(usegmt=True)}",
            self._fields,
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


def _send(connection: socket.socket, head: bytes, size: int) -> None:
    """Send a head and `size` bytes of body, in few packets and without building the body."""
    first = min(size, len(_BLOCK))
    sent = connection.sendmsg([head, _BLOCK[:first]])
    if sent < len(head):
        connection.sendall(head[sent:])
        sent = len(head)
    left = size - (sent - len(head))
    while left:
        block = _BLOCK[: min(left, len(_BLOCK))]
        connection.sendall(block)
        left -= len(block)


def _read_head(reader: Any) -> Head | None:
    """The next request's head; None at the end of the connection."""
    request_line = reader.readline(_HEAD_LIMIT)
    while request_line == b"\r\n":  # RFC 9112, section 2.2: an empty line before a request is ignored
        request_line = reader.readline(_HEAD_LIMIT)
    if not request_line:
        return None
    parts = request_line.decode("latin-1").split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest("expected a request line such as 'GET / HTTP/1.1'")
    return Head(parts[0], parts[1], parts[2], dict(_fields(reader)))


def _fields(reader: Any) -> Iterator[tuple[str, str]]:
    """The field lines up to the empty line, of a head or of a chunked body's trailer."""
    left = _HEAD_LIMIT
    while (line := reader.readline(left)) not in (b"\r\n", b"\n"):
        left -= len(line)
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or left <= 0:
            raise BadRequest("expected field lines and an empty line, within 64 KiB")
        yield name.strip().lower(), value.strip()


def _discard_body(head: Head, reader: Any, connection: socket.socket) -> None:
    """Read and discard a request's body (RFC 9112, section 6)."""
    if head.fields.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in head.fields.get("transfer-encoding", "").lower():
        while size := _chunk_size(reader.readline(1024)):
            _skip(reader, size)
            reader.readline(2)
        for _ in _fields(reader):
            pass
        return
    length = head.fields.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequest(f"expected a Content-Length, not {length!r}")
    _skip(reader, int(length))


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise BadRequest("expected the size of a chunk") from None


def _skip(reader: Any, size: int) -> None:
    while size:
        block = reader.read(min(size, 65536))
        if not block:
            raise BadRequest("the body ended early")
        size -= len(block)


def start_replicas(spec: dict[str, dict[str, Any]], first_port: int = 0) -> list[Replica]:
    """Start all replicas of `spec`, settings by backend name, at any ports or one after the other."""
    named = [(name, number) for name in spec for number in range(int(spec[name].get("replicas", 1)))]
    replicas = [
        Replica(name, number, spec[name], first_port and first_port + place)
        for place, (name, number) in enumerate(named)
    ]
    for replica in replicas:
        replica.come_up()
    return replicas


def sharpen_timers() -> None:
    """Set the timer slack to 1 ns, so that sleeps end on time, and let threads switch every 0.5 ms."""
    sys.setswitchinterval(0.0005)
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM, Ctrl-C, or with ``--until-eof`` the end of standard input."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.backend.server", description="Real test backends."
    )
    parser.add_argument("spec", type=json.loads, help="JSON: settings by backend name")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sharpen_timers()
    allow_many_descriptors()
    with contextlib.suppress(KeyboardInterrupt):
        replicas = start_replicas(options.spec)
        ready = {"pid": os.getpid(), "ports": {replica.name: replica.port for replica in replicas}}
        print(json.dumps(ready), flush=True)
        if options.until_eof:
            _obey(FaultSchedule(options.spec, replicas))
        else:
            threading.Event().wait()


def _obey(schedule: FaultSchedule) -> None:
    """Execute the commands from standard input, up to its end."""
    for line in sys.stdin:
        start = json.loads(line)["start"]
        if start is None:
            schedule.end()
        else:
            schedule.begin(float(start))
        print(line, end="", flush=True)


if __name__ == "__main__":
    main()
