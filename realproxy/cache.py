"""The store of answers: `policies.caching` behind one lock, with the bytes to send as its values.

One object of the index is a URI: all variants of it, the latest first, live and go together.

Threads. `Store` has one lock around its index, counters, budget and claims.
"""

from __future__ import annotations

import random
import threading
import time
from functools import lru_cache
from typing import NamedTuple

from policies.caching import ObjectCache, build_cache
from policies.directives import Header
from policies.eviction import charged_size
from policies.freshness import Forwarded, NotStored, Request
from policies.reuse import Use, asking, reuse
from policies.settings import Cache as CacheSettings
from policies.variants import ANY, MOST_VARIANTS, selects
from realproxy.heads import PSEUDONYM
from realproxy.http1 import RequestHead
from realproxy.stored import Stored

IN_FLIGHT = 64 * 2**20
"""Bytes of bodies that may be recorded at once, if the capacity is not larger."""

FALLEN = 4096
"""Invalidations that are remembered, for answers that were asked for before them."""

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


class Found(NamedTuple):
    """What the store has for a request.

    Attributes
    ----------
    use : Use
        What to do with it.
    stored : Stored or None
        What the request selects.
    why : Forwarded
        Why the origin is asked, if it is.
    """

    use: Use
    stored: Stored | None
    why: Forwarded


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
        self._index: ObjectCache[tuple[Stored, ...]] = build_cache(settings, rng)
        self._budget = max(IN_FLIGHT, settings.capacity)
        self._hits = self._misses = 0
        self._claims: set[bytes] = set()
        self._fallen: dict[bytes, float] = {}

    def lookup(self, key: bytes, request: Request, asked: Header, again: bool = False) -> Found:
        """What is stored for a request, and whether it may be sent.

        Parameters
        ----------
        key : bytes
            From `cache_key`.
        request : policies.freshness.Request
            What the request allows.
        asked : callable
            Its header.
        again : bool
            Whether it was a miss just now.
        """
        with self._lock:
            now = time.monotonic()
            # Another method, or a body, is no question about what is stored.
            apart = request.forward is not None and request.forward is not Forwarded.REQUEST
            variants = () if apart else self._index.peek(key, now) or ()
            stored = _select(variants, asked)
            answer, age = (None, 0.0) if stored is None else (stored.answer, stored.age(now))
            use = Use.ASK if answer is None else reuse(answer, request, age)
            if use is Use.ASK:
                self._misses += not again
            else:
                self._misses -= again
                self._hits += 1
                self._index.touch(key, now)
        why = asking(request, answer, age, bool(variants)) if use is not Use.FRESH else Forwarded.REQUEST
        return Found(use, stored, why)

    def put(self, key: bytes, stored: Stored, asked: Header, since: float) -> bool:
        """Keep an answer.

        Parameters
        ----------
        key : bytes
            From `cache_key`.
        stored : Stored
            The answer.
        asked : callable
            Header of the request that it answers.
        since : float
            When that request was made, on the monotonic clock. What was invalidated later than
            that is not kept: the answer may be from before the change.

        Returns
        -------
        bool
            Whether it was kept.
        """
        with self._lock:
            now = time.monotonic()
            if self._fallen.get(key, since) > since:
                return False
            variants = [stored]
            if stored.variant is not ANY:
                others = self._index.peek(key, now) or ()
                variants += [other for other in others if not selects(other.variant, asked)]
            del variants[MOST_VARIANTS:]
            while len(variants) > 1 and _size(variants) > self.capacity:
                variants.pop()
            fresh = max(one.born + one.answer.lifetime for one in variants)
            kept = max(one.born + one.answer.kept for one in variants)
            return self._index.store(key, tuple(variants), _size(variants), fresh, now, kept)

    def discard(self, key: bytes) -> bool:
        """Drop what is stored under `key`; returns whether there was anything."""
        with self._lock:
            return self._index.discard(key)

    def invalidate(self, key: bytes) -> None:
        """Drop what is stored under `key`, and what is on its way there."""
        with self._lock:
            self._index.discard(key)
            self._fallen.pop(key, None)
            self._fallen[key] = time.monotonic()
            if len(self._fallen) > FALLEN:
                del self._fallen[next(iter(self._fallen))]

    def reserve(self, size: int) -> bool:
        """Claim (or, if negative, give back) memory for a body on its way; False if there is none."""
        with self._lock:
            if size > self._budget:
                return False
            self._budget -= size
            return True

    def claim(self, key: bytes) -> bool:
        """Whether the caller is to revalidate `key`: nobody else is at it. Ends with `disclaim`."""
        with self._lock:
            if key in self._claims:
                return False
            self._claims.add(key)
            return True

    def disclaim(self, key: bytes) -> None:
        """The revalidation of `key` is over."""
        with self._lock:
            self._claims.discard(key)

    def counts(self) -> dict[str, int]:
        """Hits and misses so far; objects and charged bytes now."""
        with self._lock:
            return {
                "hits": self._hits,
                "misses": self._misses,
                "objects": len(self._index),
                "bytes": self._index.eviction.used,
            }


def _select(variants: tuple[Stored, ...], asked: Header) -> Stored | None:
    """The latest of the answers that a request selects. RFC 9111, 4.1"""
    for stored in variants:
        if stored.variant is ANY or selects(stored.variant, asked):
            return stored
    return None


def _size(variants: list[Stored]) -> int:
    return sum(charged_size(len(stored.body), len(stored.head)) for stored in variants)
