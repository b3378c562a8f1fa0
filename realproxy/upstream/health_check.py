"""Active health checks: each upstream is probed at an interval, independently of client requests.

Threads. Any thread may call `HealthChecker.start` and `stop`. Everything else runs in the thread of the loop
that the checker is given; it owns the sockets of all probes. The resolver's threads look up names, and hand
the addresses to the loop.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial

from policies.settings import Health
from realproxy.http1 import Malformed, head_end, parse_response
from realproxy.net.dial import Dial
from realproxy.net.resolver import Resolver
from realproxy.net.tls import TlsSocket
from realproxy.runtime.event_loop import EventLoop, Timer
from realproxy.upstream.service import Service

USER_AGENT = "proxytwin-health"
MAX_HEAD = 16 * 2**10
"""Bytes of a response head that a probe reads."""


class Probe:
    """One GET to one upstream: connect, send the request, read the head of the response.

    It fails at `until` on the monotonic clock. The service is told the result, unless the probe is
    cancelled; before that, `ended` is called with the probe.
    """

    def __init__(
        self, loop: EventLoop, service: Service, index: int, path: str, until: float,
        ended: Callable[[Probe], None],
    ) -> None:  # fmt: skip
        self._loop, self._service, self._index, self._until, self._ended = loop, service, index, until, ended
        self._name = service.roster.names[index]
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {self._name}\r\n"
            f"User-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
        ).encode()
        self._head = b""
        self._handshaking = False
        self._dial: Dial | None = None
        self._sock: socket.socket | None = None
        self._timer: Timer

    def start(self, addresses: list[str]) -> None:
        """Connect to the first of the addresses that the upstream's name leads to."""
        loop, port = self._loop, self._service.roster.addresses[self._index][1]
        self._timer = loop.at(self._until, self._fail)
        timeout = self._until - time.monotonic()
        self._dial = Dial(loop, [(ip, port) for ip in addresses[:1]], timeout, self._connected, self._fail)
        self._dial.start()

    def cancel(self) -> None:
        """Close the connection; the service is told nothing."""
        self._timer.cancel()
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self._sock is not None:
            self._loop.forget(self._sock)
            self._sock.close()
            self._sock = None

    def _finish(self, healthy: bool) -> None:
        self.cancel()
        self._ended(self)
        self._service.probed(self._index, healthy, self._name)

    def _fail(self, _: object) -> None:
        self._finish(False)

    def _connected(self, sock: socket.socket) -> None:
        self._sock, self._dial = sock, None
        transport = self._service.transport
        if transport is not None:
            try:
                sock.send(transport.header(None))
            except OSError:
                self._finish(False)
                return
            secured = transport.wrap(sock, self._service.roster.addresses[self._index][0])
            self._sock, self._handshaking = secured or sock, secured is not None
        self._step()

    def _step(self, *_: object) -> None:
        """Go on as far as possible without waiting."""
        sock = self._sock
        assert sock is not None
        try:
            healthy = self._exchange(sock)
        except BlockingIOError:
            healthy = None
        except OSError:
            healthy = False
        if healthy is None:
            sends = self._request and not self._handshaking
            self._loop.watch(sock, select.EPOLLOUT if sends else select.EPOLLIN, self._step)
        else:
            self._finish(healthy)

    def _exchange(self, sock: socket.socket) -> bool | None:
        """Whether the upstream is healthy; None as long as that is not known."""
        if self._handshaking:
            assert isinstance(sock, TlsSocket)
            self._handshaking = not sock.handshake()
            if self._handshaking:
                return None
        if self._request:
            self._request = self._request[sock.send(self._request) :]
            return None
        data = sock.recv(MAX_HEAD)
        self._head += data
        end = head_end(self._head)
        if not end:
            return None if data and len(self._head) < MAX_HEAD else False
        try:
            return 200 <= parse_response(self._head[:end], "GET").status < 400
        except Malformed:
            return False


class HealthChecker:
    """Probes the upstreams of services that have ``health``, the first time after one interval.

    The loop may serve others too, and goes on after `stop`.
    """

    def __init__(self, services: Iterable[Service], resolver: Resolver, loop: EventLoop) -> None:
        self._services, self._resolver, self._loop = list(services), resolver, loop
        self._timers: dict[tuple[Service, int], Timer] = {}
        self._probes: set[Probe] = set()
        self._stopped = False

    def start(self) -> None:
        """Start the first interval."""
        self._loop.call(self._start)

    def stop(self) -> None:
        """Cancel all probes soon."""
        self._loop.call(self._stop)

    # --- called in the thread of the loop -------------------------------------------------------

    def _start(self) -> None:
        now = time.monotonic()
        for service in self._services:
            health = service.settings.health
            if health is not None:
                for index in range(len(service.roster.names)):
                    self._schedule(service, index, health, now + health.every)

    def _stop(self) -> None:
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        for probe in self._probes:
            probe.cancel()

    def _schedule(self, service: Service, index: int, health: Health, due: float) -> None:
        look_up = partial(self._look_up, service, index, health, due)
        self._timers[service, index] = self._loop.at(due, look_up)

    def _look_up(self, service: Service, index: int, health: Health, due: float, now: float) -> None:
        # After a pause of the whole process, the probes that were missed are not made up for.
        self._schedule(service, index, health, max(due + health.every, now))
        roster = service.roster
        if index in roster.absent:
            return
        probe = Probe(self._loop, service, index, health.path, now + health.every, self._probes.discard)
        host = (roster.dials[index] or roster.addresses[index])[0]
        self._resolver.resolve_async(host, lambda found: self._loop.call(partial(self._begin, probe, found)))

    def _begin(self, probe: Probe, addresses: list[str]) -> None:
        if not self._stopped:
            self._probes.add(probe)
            probe.start(addresses)
