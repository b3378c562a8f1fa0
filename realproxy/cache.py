"""The store of answers: `policies.caching` behind one lock, with the bytes to send as its values.

Threads. `Store` has one lock around its index, counters and budget. A `Stored` never changes. A
`Recording` belongs to the worker that relays the answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from functools import lru_cache

from policies.caching import ObjectCache, build_cache
from policies.eviction import charged_size
from policies.freshness import Answer, Forwarded, NotStored, Request, invalidates, read_answer
from policies.settings import Cache as CacheSettings
from realproxy.heads import PSEUDONYM, stored_response
from realproxy.http1 import RequestHead, ResponseHead

IN_FLIGHT = 64 * 2**20
"""Bytes of bodies that may be recorded at once, if the capacity is not larger."""

HIT = "hit"


@lru_cache(maxsize=256)
def status_field(outcome: str) -> bytes:
    """The Cache-Status line for an outcome such as ``hit`` or ``fwd=uri-miss; stored``. RFC 9211"""
    return b"Cache-Status: %b; %b\r\n" % (PSEUDONYM, outcome.encode())


def forwarded(reason: Forwarded, not_stored: NotStored | None) -> str:
    """The outcome of a request that went upstream."""
    return f"fwd={reason}; stored" if not_stored is None else f"fwd={reason}; detail={not_stored}"


def cache_key(service: str, request: RequestHead) -> bytes:
    """What an answer is stored under.

    The absolute URI, behind the service: the forward side must never be answered with what a
    reverse route made of the same name, nor one service with what another one said.
    """
    return b"%b http://%b%b" % (service.encode(), request.authority, request.path)


class Stored:
    """An answer in the store.

    Attributes
    ----------
    head : bytes
        Open at its end, without Age, Cache-Status and Connection.
    body : bytes
        The whole body.
    status : int
        Of the answer.
    born : float
        When its age was zero, on the monotonic clock.
    fresh_until : float
        On the same clock.
    """

    __slots__ = ("body", "born", "fresh_until", "head", "status")

    def __init__(self, head: bytes, body: bytes, status: int, born: float, fresh_until: float) -> None:
        self.head, self.body, self.status = head, body, status
        self.born, self.fresh_until = born, fresh_until

    def pieces(self, request: RequestHead, connection: bytes, now: float) -> list[bytes]:
        """What to send to the client that asked for it."""
        age = b"Age: %d\r\n" % max(0, int(now - self.born))
        head = b"".join((self.head, age, status_field(HIT), connection, b"\r\n"))
        return [head, self.body] if request.method != "HEAD" and self.body else [head]


class Store:
    """Stored answers under an eviction policy.

    Parameters
    ----------
    settings : policies.settings.Cache
        Its table.
    rng : random.Random
        For the eviction policy.
    """

    def __init__(self, settings: CacheSettings, rng: random.Random) -> None:
        self._lock = threading.Lock()
        self.capacity = settings.capacity
        self._index: ObjectCache[Stored] = build_cache(settings, rng)
        self._budget = max(IN_FLIGHT, settings.capacity)
        self._hits = self._misses = 0

    def lookup(self, key: bytes, request: Request) -> Stored | Forwarded:
        """A fresh answer that the request accepts, or why there is none."""
        if request.forward is not None:
            with self._lock:
                self._misses += 1
            return request.forward
        with self._lock:
            now = time.monotonic()
            stored = self._index.lookup(key, now)
            if stored is not None and (
                now - stored.born <= request.max_age and stored.fresh_until - now >= request.min_fresh
            ):
                self._hits += 1
                return stored
            self._misses += 1
        return Forwarded.URI_MISS if stored is None else Forwarded.REQUEST

    def put(self, key: bytes, stored: Stored, size: int) -> bool:
        """Keep an answer that counts for `size` bytes; returns whether it was kept."""
        with self._lock:
            return self._index.store(key, stored, size, stored.fresh_until, time.monotonic())

    def discard(self, key: bytes) -> bool:
        """Drop what is stored under `key`; returns whether there was anything."""
        with self._lock:
            return self._index.discard(key)

    def reserve(self, size: int) -> bool:
        """Claim (or, if negative, give back) memory for a body on its way; False if there is none."""
        with self._lock:
            if size > self._budget:
                return False
            self._budget -= size
            return True

    def counts(self) -> dict[str, int]:
        """Hits and misses so far; objects and charged bytes now."""
        with self._lock:
            return {
                "hits": self._hits,
                "misses": self._misses,
                "objects": len(self._index),
                "bytes": self._index.eviction.used,
            }


class Recording:
    """An answer that may be stored, recorded while it is relayed.

    Parameters
    ----------
    store : Store
        Where it will go.
    key : bytes
        From `cache_key`.
    method : str
        Of the request.
    request : policies.freshness.Request
        What the request allows.
    why : Forwarded
        Why the request goes upstream.
    ttl : float or None
        Of the route.
    authorized : bool
        Whether the request carries Authorization.
    """

    __slots__ = (
        "_authorized", "_born", "_fresh_until", "_head", "_key", "_method", "_pieces", "_request",
        "_reserved", "_size", "_store", "_ttl", "reason", "why",
    )  # fmt: skip

    def __init__(
        self,
        store: Store,
        key: bytes,
        method: str,
        request: Request,
        why: Forwarded,
        *,
        ttl: float | None,
        authorized: bool,
    ) -> None:
        self._store, self._key, self._method, self._request, self.why = store, key, method, request, why
        self._ttl, self._authorized = ttl, authorized
        self.reason: NotStored | None = NotStored.INCOMPLETE
        self._head: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._size = self._reserved = 0
        self._born = self._fresh_until = 0.0

    def begin(self, head: ResponseHead, delay: float) -> None:
        """The answer's head is there, `delay` seconds after it was asked for."""
        if invalidates(self._method, head.status):
            self._store.discard(self._key)
        answer: Answer = read_answer(
            head.status, head.fields.text, self._request, self._authorized, self._ttl, time.time(), delay
        )
        self.reason = answer.reason
        if self.reason is None and max(head.framing, 0) > self._store.capacity:
            self.reason = NotStored.TOO_LARGE
        self._head = head
        self._born = time.monotonic() - answer.age
        self._fresh_until = self._born + answer.lifetime

    def add(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Record pieces of the body."""
        if self.reason is not None:
            return
        for piece in pieces:
            self._size += len(piece)
            if self._size > self._store.capacity or not self._store.reserve(len(piece)):
                self.drop(NotStored.TOO_LARGE)
                return
            self._reserved += len(piece)
            self._pieces.append(bytes(piece))

    def drop(self, reason: NotStored) -> None:
        """Give up."""
        self.reason = self.reason or reason
        self.release()

    def release(self) -> None:
        """Forget what was recorded; what is stored stays."""
        self._pieces = []
        if self._reserved:
            self._store.reserve(-self._reserved)
            self._reserved = 0

    def finish(self) -> None:
        """The whole body is there: store it."""
        head = self._head
        if self.reason is None and head is not None:
            body = b"".join(self._pieces)
            text = stored_response(head, len(body))
            stored = Stored(text, body, head.status, self._born, self._fresh_until)
            if not self._store.put(self._key, stored, charged_size(len(body), len(text))):
                self.reason = NotStored.REFUSED
        self.release()
