"""Names to addresses, with a time limit: the system's resolver has none.

Threads. A look-up that hangs cannot be ended. So each runs in a thread of the resolver's pool, and
its callers wait only as long as they choose. Callers that ask for the same name share one look-up.
`_lock` guards the number of threads and the table of look-ups, both running and cached. The table of
addresses to avoid is changed by single operations, which the interpreter makes atomic.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
import time
from collections.abc import Callable
from functools import lru_cache

from policies.addresses import dial_order
from realproxy.errors import Termination, UpstreamError
from realproxy.net.address import Address, family_of

THREADS = 16
"""Look-ups at once; further ones are queued."""
WAITING = 1024
"""Look-ups that may be queued."""
REMEMBERED = 1.0
"""Seconds for which a result is cached; the system does not tell its time to live."""
SOON = 0.1
"""Seconds for which a result must remain cached to count in `is_cached`."""
MOST_REMEMBERED = 4096
AVOIDED = 10.0
"""Seconds for which an address that could not be reached comes behind the others of its name."""
IDLE = 10.0
"""Seconds after which a thread without work ends."""


class _Lookup:
    """One look-up, running or cached."""

    __slots__ = ("addresses", "callbacks", "done", "until")

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.callbacks: list[Callable[[], object]] = []
        self.done = threading.Event()
        self.until = 0.0


@lru_cache(1024)
def is_literal(host: str) -> bool:
    """Whether `host` is an IP address in its usual form, which needs no look-up."""
    try:
        socket.inet_pton(family_of(host), host)
    except (OSError, ValueError):
        return False
    return True


def parse_ip(host: str) -> str | None:
    """The IP address that `host` is in any form the system accepts (``127.1``); None for a name."""
    return next(iter(look_up(host, socket.AI_NUMERICHOST)), None)


class Resolver:
    """Looks names up in its own threads; `resolve` waits `timeout` seconds at most."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._lock = threading.Lock()
        self._known: dict[str, _Lookup] = {}
        self._turns = itertools.count()
        self._avoided: dict[Address, float] = {}
        self._queue: queue.Queue[str | None] = queue.Queue(WAITING)
        self._threads, self._unfinished, self._stopped = 0, 0, False

    def resolve(self, address: Address) -> list[Address]:
        """The IP addresses of a target, at least one.

        Raises `UpstreamError`: 502 if there is none, 504 after the timeout, 503 if too many look-ups
        wait or the proxy stops.
        """
        host, port = address
        if is_literal(host):
            return [address]
        lookup = self._lookup(host)
        if not lookup.done.wait(self.timeout):
            detail = f"the name {host} was not resolved in time"
            raise UpstreamError(504, Termination.UPSTREAM_SLOW, detail, fault="dns_timeout")
        if self._stopped and not lookup.addresses:
            raise _stopping()
        if not lookup.addresses:
            detail = f"cannot resolve {host}"
            raise UpstreamError(502, Termination.UPSTREAM_UNREACHABLE, detail, fault="dns_error")
        return [(ip, port) for ip in lookup.addresses]

    def in_turn(self, address: Address) -> list[Address]:
        """As `resolve`, in another order for each connection; see `policies.addresses.dial_order`."""
        return self.turned(self.resolve(address))

    def turned(self, found: list[Address]) -> list[Address]:
        """The addresses of one name in the order for the next connection; those to `avoid` come last."""
        if len(found) < 2:
            return found
        order = dial_order([host for host, _ in found], next(self._turns))
        now, port = time.monotonic(), found[0][1]
        return sorted([(host, port) for host in order], key=lambda one: self._avoided.get(one, 0.0) > now)

    def avoid(self, address: Address) -> None:
        """Put an address that could not be reached behind the others, for `AVOIDED` seconds."""
        now = time.monotonic()
        if len(self._avoided) >= MOST_REMEMBERED:
            self._avoided = {known: until for known, until in self._avoided.copy().items() if until > now}
        self._avoided[address] = now + AVOIDED

    def is_cached(self, host: str) -> bool:
        """Whether `resolve` need not wait, now and for the next `SOON` seconds."""
        if is_literal(host):
            return True
        lookup = self._known.get(host)
        return lookup is not None and lookup.done.is_set() and lookup.until > time.monotonic() + SOON

    def resolve_async(self, host: str, callback: Callable[[list[str]], object]) -> None:
        """Look a name up without waiting.

        `callback` gets the addresses, none if the look-up fails. Any thread may call it, also the
        caller's before this returns.
        """
        if is_literal(host):
            callback([host])
            return
        try:
            lookup = self._lookup(host)
        except UpstreamError:
            callback([])
            return
        with self._lock:
            if not lookup.done.is_set():
                lookup.callbacks.append(lambda: callback(lookup.addresses))
                return
        callback(lookup.addresses)

    def stop(self) -> None:
        """Accept no more look-ups, let the threads end, and release all callers that wait."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            threads = self._threads
            for lookup in self._known.values():
                lookup.done.set()  # their callers find no address
        with contextlib.suppress(queue.Full):
            for _ in range(threads):
                self._queue.put_nowait(None)

    def _lookup(self, host: str) -> _Lookup:
        now = time.monotonic()
        with self._lock:
            lookup = self._known.get(host)
            if lookup is not None and not (lookup.done.is_set() and lookup.until < now):
                return lookup
            if self._stopped:
                raise _stopping()
            if len(self._known) >= MOST_REMEMBERED:
                for known, old in list(self._known.items()):
                    if old.done.is_set() and old.until < now:
                        del self._known[known]
            lookup = _Lookup()
            try:
                self._queue.put_nowait(host)
            except queue.Full:
                detail = "too many names wait to be resolved"
                raise UpstreamError(503, Termination.UPSTREAM_SLOW, detail) from None
            self._known[host] = lookup
            self._unfinished += 1
            if self._threads < min(self._unfinished, THREADS):
                with contextlib.suppress(RuntimeError):  # too many threads: the name waits for one of ours
                    threading.Thread(target=self._run, name="proxy-resolver", daemon=True).start()
                    self._threads += 1
        return lookup

    def _run(self) -> None:
        while (host := self._next()) is not None:
            addresses = look_up(host)
            with self._lock:
                self._unfinished -= 1
                lookup = self._known[host]
                lookup.addresses = addresses
                lookup.until = time.monotonic() + REMEMBERED
                callbacks, lookup.callbacks = lookup.callbacks, []
                lookup.done.set()
            for callback in callbacks:
                callback()

    def _next(self) -> str | None:
        while True:
            try:
                host = self._queue.get(timeout=IDLE)
            except queue.Empty:
                host = None
            with self._lock:
                if host is None and not self._stopped and not self._queue.empty():
                    continue  # queued just now, when this thread still counted as idle
                self._threads -= host is None
            return host


def _stopping() -> UpstreamError:
    return UpstreamError(503, Termination.STOPPED, "the proxy is stopping")


def look_up(host: str, flags: int = 0) -> list[str]:
    """The addresses that the system knows for a name, perhaps none; may take long.

    `flags` are those of `socket.getaddrinfo`.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
