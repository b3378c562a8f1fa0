"""A service: its upstreams, the balancer that picks one, and what is known of failures.

Threads. Each service has one lock. Workers, health checks and the admin port call the balancer and
all decisions of `policies.resilience` under it. It is never held during a wait.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from policies.balancing import Dispatch
from policies.concurrency import limit_rng
from policies.request_key import key_reader
from policies.resilience import REASONS, Attempts, Precautions, backoff_delay
from policies.settings import Service as ServiceSettings
from realproxy.http1 import RequestHead
from realproxy.net.address import Address
from realproxy.net.tls import TlsSocket
from realproxy.runtime.isolation import tolerate
from realproxy.upstream.admission_control import AdmissionControl
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.endpoint import Endpoint, Ends, Place
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.roster import Roster


class Transport(Protocol):
    """How connections to the upstreams of one service start."""

    def endpoint(self, address: Address, ends: Ends | None, dial: Address | None = None) -> Endpoint:
        """The endpoint of an upstream for one request; `ends` is None for requests of the proxy itself.

        Connections go to `dial` if the name was resolved already.
        """

    def header(self, ends: Ends | None) -> bytes:
        """The PROXY protocol header, empty if none is wanted; without `ends` that of the proxy itself."""

    def wrap(self, sock: socket.socket, host: str) -> TlsSocket | None:
        """The socket before its TLS handshake; None if the service does not use TLS."""


class Alternatives(Protocol):
    """Where a request goes whose first upstream is slow."""

    def hedge(self) -> Place:
        """Where to ask at the same time."""

    def swap(self, failed: bool | None) -> None:
        """The hedge takes the place of the first, which has failed or (None) is cancelled."""

    def drop(self, failed: bool | None) -> None:
        """The hedge has failed, or (None) is cancelled."""


FirstResponse = Callable[[UpstreamConnection, ConnectionPool, Alternatives, float], UpstreamConnection]
"""Waits for a response not only on the connection on which the request was sent, which it takes.

Each upstream has the given seconds. Returns the connection with the first bytes of a response, and closes all
others; if it raises `UpstreamError`, it closes the first too.
"""


class PickedUpstream:
    """The upstream that was picked for a request. The request counts as outstanding there until `finish`."""

    __slots__ = ("_service", "address", "attempts", "done", "index", "name", "started")

    def __init__(self, service: Service, index: int, started: float, attempts: Attempts | None) -> None:
        self._service, self.index, self.started, self.attempts = service, index, started, attempts
        roster = service.roster
        self.address, self.name = roster.dials[index] or roster.addresses[index], roster.names[index]
        self.done = False

    def finish(self, failed: bool | None = False) -> None:
        """End the request there, with None if the outcome is not known; only the first call counts."""
        if not self.done:
            self.done = True
            self._service.finish(self, failed)


class Service:
    """The upstreams of one service, their balancer, and the decisions about failures.

    `roster` has the upstreams, and `look_up` finds the addresses of those that are resolved anew. `decisions`
    must be called under the lock, except for what never changes. `transport` is None if connections start
    with HTTP; it may be replaced at any time, for new connections. `wait` is how a request waits for a
    response if not on one connection alone. `admission` is None without a rate limit, queue, limit or
    breaker. `seed` is for the random numbers of the limit and of retries. `key_of` reads the key of a request
    for hashing balancers; None if that is the client.
    """

    def __init__(
        self, name: str, settings: ServiceSettings, rng: random.Random, transport: Transport | None = None,
        wait: FirstResponse | None = None, seed: int | None = None,
        look_up: Callable[[str], list[str]] = lambda _: [],
    ) -> None:  # fmt: skip
        self.name, self.settings, self.proxy_protocol = name, settings, settings.proxy_protocol
        self.transport, self.wait = transport, wait
        roster = self.roster = Roster(settings, look_up)
        self._backoff_rng = random.Random(None if seed is None else f"{seed}/{name}/backoff")
        self._dispatch = Dispatch(
            settings.balance, roster.weights, rng, settings.slow_start, snapshot=settings.load_snapshot
        )
        self._requests = [0] * len(roster.names)
        self._failures = [0] * len(roster.names)
        self._lock = threading.Lock()
        decisions = self.decisions = Precautions(
            settings, self._dispatch.upstreams, limit_rng(seed, name) if settings.limit is not None else None
        )
        if roster.absent:
            decisions.change((), roster.absent, time.monotonic())
        gated = decisions.rate or decisions.queue or decisions.breaker
        self.admission = AdmissionControl(name, decisions, self._lock) if gated else None
        self._ejects = settings.eject is not None
        self.key_of = None if settings.hash_on == "client" else _key_reader(settings.hash_on)

    @property
    def present(self) -> int:
        """Number of upstreams that lead somewhere."""
        return len(self.roster.names) - len(self.roster.absent)

    def endpoint(self, index: int, ends: Ends | None) -> Endpoint:
        """Where to send a request for an upstream; see `Transport.endpoint` for `ends`."""
        roster = self.roster
        if self.transport is None:
            return roster.endpoints[index]
        return self.transport.endpoint(roster.addresses[index], ends, roster.dials[index])

    def start(self, client: str, failed: Collection[int] = (), *, earns: bool = False) -> PickedUpstream:
        """Pick the upstream for a request, which then counts as outstanding there.

        `client` is the key for balancers with affinity. The request has `failed` at these upstreams. With
        `earns`, it is a new one that earns its share of a retry: the pick has its attempts.
        """
        now, attempts = time.monotonic(), None
        with self._lock:
            if earns:
                attempts = self.decisions.attempts()
            if self._ejects:
                self.decisions.refresh(now)
            index = self._dispatch.start(client, now, failed)
            self._requests[index] += 1
        return PickedUpstream(self, index, now, attempts)

    def finish(self, pick: PickedUpstream, failed: bool | None) -> None:
        """End a request at its upstream; called by `PickedUpstream.finish`."""
        now = time.monotonic()
        with self._lock:
            try:
                self._dispatch.finish(pick.index, now - pick.started, now, failed is True)
            except Exception as error:  # noqa: BLE001 - the response must not suffer from an own balancer
                tolerate(error)
            if failed is not None and pick.name is self.roster.names[pick.index]:
                self._failures[pick.index] += failed
                if self._ejects:
                    self.decisions.ended(pick.index, failed, now)

    def warm_new(self, known: Collection[str]) -> None:
        """Slow start begins for the upstreams that are not `known` from before a reload."""
        now = time.monotonic()
        with self._lock:
            for index, name in enumerate(self.roster.names):
                if name not in known:
                    self._dispatch.upstreams.warm(index, now)

    def found(self, host: str, addresses: list[str]) -> None:
        """The name `host` was resolved anew; without addresses, it keeps those it had."""
        now = time.monotonic()
        with self._lock:
            come, gone = self.roster.update(host, addresses, self._dispatch.outstanding)
            if come or gone:
                for index in come:
                    self._requests[index] = self._failures[index] = 0
                self.decisions.change(come, gone, now)

    def attempts(self) -> Attempts:
        """The attempts of a new request."""
        if self.settings.retry is None:
            return self.decisions.attempts()  # shares nothing
        with self._lock:
            return self.decisions.attempts()

    def again(self, attempts: Attempts, *, refused: bool, repeatable: bool, status: int) -> float | None:
        """Seconds after which a failed request may go to another upstream, or None; see `Attempts.again`."""
        with self._lock:
            made, base = attempts.retries, self.decisions.backoff
            if not self.decisions.again(attempts, refused=refused, repeatable=repeatable, status=status):
                return None
            if not base or attempts.retries == made:
                return 0.0
            return backoff_delay(base, attempts.retries, self._backoff_rng)

    def probed(self, index: int, good: bool, name: str) -> None:
        """Take note of the result of a health check of the upstream that had this name."""
        with self._lock:
            if name is not self.roster.names[index]:
                return
            self.decisions.probed(index, good, time.monotonic())

    def counts(self) -> list[dict[str, Any]]:
        """For each upstream: requests, failures, outstanding requests, and 1 for each reason to avoid it.

        Also how often it was ejected, for how many seconds it is by now (0 if it is not), and 1 if it is in
        slow start.
        """
        now = time.monotonic()
        with self._lock:
            self._dispatch.upstreams.advance(now)
            return [
                self._counts(index, name, now)
                for index, name in enumerate(self.roster.names)
                if index not in self.roster.absent
            ]

    def _counts(self, index: int, name: str, now: float) -> dict[str, Any]:
        decisions = self.decisions
        since = decisions.ejected_since(index)
        return {
            "address": name,
            "requests": self._requests[index],
            "failures": self._failures[index],
            "outstanding": self._dispatch.outstanding[index],
            **{reason: int(reason in decisions.reasons(index)) for reason in REASONS},
            "ejections": decisions.ejections(index),
            "ejected_s": 0.0 if since is None else round(now - since, 3),
            "warming": int(self._dispatch.upstreams.share[index] < 1.0),
        }

    def state(self) -> dict[str, int]:
        """The requests in the queue and in flight, their limit (0: none), and 1 for an open breaker."""
        now = time.monotonic()
        with self._lock:
            queue, breaker = self.decisions.queue, self.decisions.breaker
            return {
                "waiting": 0 if queue is None else queue.waiting,
                "in_flight": sum(self._dispatch.outstanding) if queue is None else queue.in_flight,
                "limit": 0 if queue is None else queue.most(now),
                "breaker_open": int(breaker is not None and breaker.state(now) != "closed"),
            }


def _key_reader(hash_on: str) -> Callable[[RequestHead, str], str]:
    """A function that reads the key from a request's head and its client."""
    read = key_reader(hash_on)

    def key(head: RequestHead, client: str) -> str:
        path = head.path.decode("latin-1").partition("?")[0]
        return read(client, path, head.fields.text) or client

    return key
