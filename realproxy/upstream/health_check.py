"""Health checks: every upstream is asked now and then, apart from the requests of clients.

Threads. One thread for all services, started only where one is checked; it owns the sockets of all
probes and never waits for a single one. Names are resolved by threads of the resolver, which put
what they found into a queue; `_lock` keeps them from waking a thread that has ended. What is learnt
is told to the services, under their locks.
"""

from __future__ import annotations

import heapq
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Iterable

from policies.settings import Health
from realproxy.http1 import Malformed, parse_response
from realproxy.net.address import Address
from realproxy.net.resolver import Resolver
from realproxy.net.tls import TlsSocket
from realproxy.upstream.service import Service

USER_AGENT = "proxytwin-health"
MOST_HEAD = 16 * 2**10
"""Bytes of an answer's head that a probe reads."""

END_PATIENCE = 5.0
"""Seconds that the thread has to end."""


class Probe:
    """One question to one upstream: connect, ask, read the head of the answer.

    Parameters
    ----------
    service : Service
        Whose upstream it is.
    index : int
        Which one.
    health : policies.settings.Health
        What is asked for.
    address : Address
        Where it is, resolved.
    until : float
        When it is too late for an answer, on the monotonic clock.

    Raises
    ------
    OSError
        If there are no sockets.
    """

    def __init__(self, service: Service, index: int, health: Health, address: Address, until: float) -> None:
        self.service, self.index, self.until = service, index, until
        self._request = (
            f"GET {health.path} HTTP/1.1\r\nHost: {service.names[index]}\r\n"
            f"User-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
        ).encode()
        self._head = b""
        self._begun = service.transport is None
        self._shaking = False
        self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.sock.setblocking(False)
        self.sock.connect_ex(address)  # what is wrong is known when it can be written to

    @property
    def events(self) -> int:
        """What to wait for."""
        return select.POLLOUT if self._request and not self._shaking else select.POLLIN

    def step(self) -> bool | None:
        """Go on as far as possible without waiting; returns whether the upstream is well, once known."""
        try:
            if not self._begun and not self._begin():
                return None
            return self._ask()
        except BlockingIOError:
            return None
        except OSError:
            return False

    def _ask(self) -> bool | None:
        if self._request:
            self._request = self._request[self.sock.send(self._request) :]
            return None
        data = self.sock.recv(MOST_HEAD)
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return None if data and len(self._head) < MOST_HEAD else False
        try:
            return 200 <= parse_response(self._head[: end + 4], "GET").status < 400
        except Malformed:
            return False

    def _begin(self) -> bool:
        """Say what comes before HTTP, as far as possible without waiting; returns whether that is done."""
        securing = self.service.transport
        assert securing is not None
        if not self._shaking:
            self.sock.send(securing.header(None))
            self.sock = securing.wrap(self.sock, self.service.addresses[self.index][0]) or self.sock
            self._shaking = True
        self._begun = not isinstance(self.sock, TlsSocket) or self.sock.handshake()
        self._shaking = not self._begun
        return self._begun


class HealthChecker:
    """The thread that probes.

    Parameters
    ----------
    services : iterable of Service
        Those that have ``health`` are checked, for the first time after one interval.
    resolver : Resolver
        Of their upstreams' names.
    """

    def __init__(self, services: Iterable[Service], resolver: Resolver) -> None:
        self._resolver = resolver
        self._found: queue.SimpleQueue[tuple[Service, int, Health, list[str], float]] = queue.SimpleQueue()
        now = time.monotonic()
        self._due: list[tuple[float, int, Service, int, Health]] = []
        for service in services:
            health = service.settings.health
            for index in range(len(service.names) if health is not None else 0):
                assert health is not None
                self._due.append((now + health.every, len(self._due), service, index, health))
        self._probes: dict[int, Probe] = {}
        self._poller = select.poll()
        self._wake = -1
        self._lock = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if there is anyone to check."""
        if self._due:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC)
            self._poller.register(self._wake, select.POLLIN)
            self._thread = threading.Thread(target=self._run, name="proxy-health", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; probes under way are given up."""
        if self._thread is not None:
            with self._lock:
                self._stopping = True
                os.eventfd_write(self._wake, 1)
            self._thread.join(END_PATIENCE)
            os.close(self._wake)
            self._thread = None

    def _run(self) -> None:
        while not self._stopping:
            now = time.monotonic()
            next_end = min((probe.until for probe in self._probes.values()), default=self._due[0][0])
            wait = max(0.0, min(self._due[0][0], next_end) - now)
            for fd, _ in self._poller.poll(wait * 1000):
                if fd == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    self._go_on(self._probes[fd])
            while not self._found.empty():
                self._begin(*self._found.get())
            now = time.monotonic()
            for probe in [probe for probe in self._probes.values() if probe.until <= now]:
                self._end(probe, False)
            while self._due[0][0] <= now:
                self._look_up(now)
        for probe in self._probes.values():
            probe.sock.close()

    def _look_up(self, now: float) -> None:
        due, number, service, index, health = self._due[0]
        late = max(now - due - health.every, 0.0)  # a machine that slept does not catch up
        heapq.heapreplace(self._due, (due + late + health.every, number, service, index, health))

        def found(addresses: list[str]) -> None:
            with self._lock:
                if not self._stopping:
                    self._found.put((service, index, health, addresses, now + health.every))
                    os.eventfd_write(self._wake, 1)

        self._resolver.resolve_async(service.addresses[index][0], found)

    def _begin(
        self, service: Service, index: int, health: Health, addresses: list[str], until: float
    ) -> None:
        port = service.addresses[index][1]
        try:
            probe = Probe(service, index, health, (addresses[0], port), until)
        except (OSError, IndexError):  # no sockets, or a name that leads nowhere
            service.probed(index, False)
            return
        self._probes[probe.sock.fileno()] = probe
        self._poller.register(probe.sock, probe.events)

    def _go_on(self, probe: Probe) -> None:
        good = probe.step()
        if good is None:
            self._poller.modify(probe.sock, probe.events)
        else:
            self._end(probe, good)

    def _end(self, probe: Probe, good: bool) -> None:
        del self._probes[probe.sock.fileno()]
        self._poller.unregister(probe.sock)
        probe.sock.close()
        probe.service.probed(probe.index, good)
