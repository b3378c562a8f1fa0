"""The store of answers: `policies.http_cache.index` behind one lock, with the bytes to send as its values.

One object of the index is a URI: all variants of it, the latest first, live and go together.

Threads. `CacheStore` has one lock around its index, counters, budget and claims.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from policies.eviction import EvictionPolicy, charged_size
from policies.http_cache.directives import Header
from policies.http_cache.freshness import Forwarded, Request
from policies.http_cache.index import ObjectCache, build_eviction
from policies.http_cache.partial import answers, use_of_part
from policies.http_cache.reuse import Use, forward_reason, reuse
from policies.http_cache.vary import ANY, MOST_VARIANTS, selects
from policies.settings import Cache as CacheSettings
from realproxy.cache.entry import CacheEntry
from realproxy.cache.purge import InvalidationLog, Purge, TagIndex, origin_of
from realproxy.http1 import RequestHead

# To name a member by its class is slow before Python 3.12.
_ASK, _FRESH, _REQUEST = Use.ASK, Use.FRESH, Forwarded.REQUEST

IN_FLIGHT = 64 * 2**20
"""Bytes of bodies that may be recorded at once, if the capacity is not larger."""

PURGED_AT_ONCE = 1000
"""Keys that a purge drops before hits get their turn."""
GROUP_OVERHEAD = 256
"""Bytes that each group of an answer is charged: its place in the index."""


def cache_key(service: str, request: RequestHead) -> bytes:
    """What an answer is stored under.

    The absolute URI, behind the service: the forward side must never be answered with what a
    reverse route made of the same name, nor one service with what another one said. On the forward
    side the scheme is that of the target, whatever the way to this proxy.
    """
    scheme = request.scheme if service else b"http"
    return b"%b %b://%b%b" % (service.encode(), scheme, request.authority, request.path)


class Lookup(NamedTuple):
    """What the store has for a request.

    Attributes
    ----------
    use : Use
        What to do with it.
    entry : CacheEntry or None
        What the request selects.
    why : Forwarded
        Why the origin is asked, if it is.
    """

    use: Use
    entry: CacheEntry | None
    why: Forwarded


class _Index(ObjectCache[tuple[CacheEntry, ...]]):
    """The index, with the groups of what is in it."""

    def __init__(self, eviction: EvictionPolicy) -> None:
        super().__init__(eviction)
        self.groups = TagIndex()

    def all_keys(self) -> list[bytes]:
        """All keys."""
        return list(map(_as_key, self._entries))

    def store(
        self,
        key: Hashable,
        value: tuple[CacheEntry, ...],
        size: int,
        fresh_until: float,
        now: float,
        kept_until: float | None = None,
    ) -> bool:
        """See `ObjectCache.store`."""
        kept = super().store(key, value, size, fresh_until, now, kept_until)
        if kept:
            for stored in value:
                self.groups.add(_as_key(key), stored.groups)
        return kept

    def _left(self, key: Hashable, value: tuple[CacheEntry, ...]) -> None:
        for stored in value:
            if stored.groups:
                self.groups.remove(_as_key(key), stored.groups)


def _as_key(key: Hashable) -> bytes:
    assert isinstance(key, bytes)
    return key


class CacheStore:
    """Stored answers under an eviction policy.

    Parameters
    ----------
    settings : policies.settings.Cache
        Its table.
    rng : random.Random
        For the eviction policy.

    Attributes
    ----------
    may_wait : bool
        Whether a look-up may wait, as `recall` does where there is a slower tier.
    """

    may_wait = False

    def __init__(self, settings: CacheSettings, rng: random.Random) -> None:
        self._lock = threading.Lock()
        self.capacity = settings.capacity
        self._index = _Index(build_eviction(settings, rng))
        self._budget = max(IN_FLIGHT, settings.capacity)
        self._hits = self._misses = 0
        self._revalidating: set[bytes] = set()
        self._changes = InvalidationLog()
        self._services: set[bytes] = set()

    def lookup(self, key: bytes, request: Request, asked: Header) -> Lookup:
        """What is stored for a request, and whether it may be sent.

        Parameters
        ----------
        key : bytes
            From `cache_key`.
        request : policies.http_cache.freshness.Request
            What the request allows.
        asked : callable
            Its header.
        """
        with self._lock:
            now = time.monotonic()
            # Another method, or a body, is no question about what is stored.
            apart = request.forward is not None and request.forward is not _REQUEST
            variants = () if apart else self._index.peek(key, now) or ()
            stored = _select(variants, asked)
            answer, age = (None, 0.0) if stored is None else (stored.answer, stored.age(now))
            use = _ASK if answer is None else reuse(answer, request, age)
            lacks = False
            if stored is not None and stored.part is not None:
                lacks = not answers(stored.part, request, asked)
                use = use_of_part(use, not lacks)
                stored = stored if use is not _ASK else None
            if use is not _ASK:
                self._hits += 1
                self._index.touch(key, now)
        if use is _FRESH:
            return Lookup(use, stored, _REQUEST)
        return Lookup(use, stored, forward_reason(request, answer, age, bool(variants), lacks))

    def count_hit(self) -> None:
        """A request is answered by a slower tier."""
        with self._lock:
            self._hits += 1

    def count_miss(self) -> None:
        """A request goes upstream for what the store lacks, or is told that it lacks it."""
        with self._lock:
            self._misses += 1

    def put(self, key: bytes, stored: CacheEntry, asked: Header, since: float) -> bool:
        """Keep an answer.

        Parameters
        ----------
        key : bytes
            From `cache_key`.
        stored : CacheEntry
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
            if self._changes.invalidated_since(key, stored.groups, since):
                return False
            self._services.add(key[: key.index(b" ")])
            variants = [stored]
            if stored.variant is not ANY:
                others = self._index.peek(key, now) or ()
                variants += [other for other in others if not selects(other.variant, asked)]
            del variants[MOST_VARIANTS:]
            while len(variants) > 1 and _size(key, variants) > self.capacity:
                variants.pop()
            fresh = max(one.time_zero + one.answer.lifetime for one in variants)
            kept = max(one.time_zero + one.answer.kept for one in variants)
            return self._index.store(key, tuple(variants), _size(key, variants), fresh, now, kept)

    def selected(self, key: bytes, asked: Header) -> CacheEntry | None:
        """What a request selects, fresh or not, for a part to be combined with. No use of it."""
        with self._lock:
            return _select(self._index.peek(key, time.monotonic()) or (), asked)

    def recall(self, key: bytes, request: Request, asked: Header) -> Lookup | None:
        """What a slower tier has for a request that memory could not answer; None if nothing of use."""
        return None

    def close(self) -> None:
        """End what the store has begun."""

    def discard(self, key: bytes) -> bool:
        """Drop what is stored under `key`; returns whether there was anything."""
        with self._lock:
            return self._index.discard(key)

    def groups_of(self, key: bytes) -> set[str]:
        """The groups of all variants of a key."""
        with self._lock:
            variants = self._index.peek(key, time.monotonic()) or ()
            return {group for stored in variants for group in stored.groups}

    def invalidate(self, key: bytes, groups: Iterable[str] = ()) -> None:
        """Drop what is stored under `key`, all that shares a group with it, and what is on its way there.

        RFC 9111, 4.4; RFC 9875, 2.2.1: the groups of those others do not fall in turn. `groups` fall too.
        """
        with self._lock:
            now = time.monotonic()
            stored_groups = {group for one in self._index.peek(key, now) or () for group in one.groups}
            self._fell(key, now)
            for group in stored_groups.union(groups):
                self._group_fell(key, group, now)

    def invalidate_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Drop all answers of these groups that have the origin of `key`. RFC 9875, 3"""
        with self._lock:
            now = time.monotonic()
            for group in groups:
                self._group_fell(key, group, now)

    def _group_fell(self, key: bytes, group: str, now: float) -> None:
        member = origin_of(key), group
        self._changes.record(member, now)
        for other in self._index.groups.keys(member):
            self._index.discard(other)

    def _fell(self, key: bytes, now: float) -> None:
        self._changes.record(key, now)
        self._index.discard(key)

    def purge(self, purge: Purge) -> int:
        """Drop what an operator names, and what is on its way there; returns how many URIs were stored.

        The index is not locked while it is searched for a prefix: hits go on.
        """
        return len(self._purge(purge))

    def _purge(self, purge: Purge) -> set[bytes]:
        with self._lock:
            self._changes.record_purge(purge, time.monotonic())
            if purge.tag is not None:
                found = self._index.groups.tagged(purge.tag)
            elif purge.url is not None:
                found = [b"%b %b" % (service, purge.url) for service in self._services]
            else:
                found = self._index.all_keys()
        if purge.prefix is not None:
            found = [key for key in found if purge.matches(key, ())]
        gone: set[bytes] = set()
        for start in range(0, len(found), PURGED_AT_ONCE):
            with self._lock:
                gone.update(filter(self._index.discard, found[start : start + PURGED_AT_ONCE]))
        return gone

    def reserve(self, size: int) -> bool:
        """Claim (or, if negative, give back) memory for a body on its way; False if there is none."""
        with self._lock:
            if size > self._budget:
                return False
            self._budget -= size
            return True

    def lock_revalidation(self, key: bytes) -> bool:
        """Whether the caller is to revalidate `key`; it then calls `unlock_revalidation`."""
        with self._lock:
            if key in self._revalidating:
                return False
            self._revalidating.add(key)
            return True

    def unlock_revalidation(self, key: bytes) -> None:
        """The revalidation of `key` is over."""
        with self._lock:
            self._revalidating.discard(key)

    def contents(self) -> dict[bytes, tuple[CacheEntry, ...]]:
        """All that is stored, the latest variant of each key first."""
        with self._lock:
            now = time.monotonic()
            return {key: self._index.peek(key, now) or () for key in self._index.all_keys()}

    def counts(self) -> dict[str, int]:
        """Hits and misses so far; objects and charged bytes now, and the same on disk."""
        with self._lock:
            return {
                "hits": self._hits,
                "misses": self._misses,
                "objects": len(self._index),
                "bytes": self._index.eviction.used,
                "disk_objects": 0,
                "disk_bytes": 0,
            }


def _select(variants: tuple[CacheEntry, ...], asked: Header) -> CacheEntry | None:
    """The latest of the answers that a request selects. RFC 9111, 4.1"""
    for stored in variants:
        if stored.variant is ANY or selects(stored.variant, asked):
            return stored
    return None


def charge(key: bytes, stored: CacheEntry) -> int:
    """Bytes that an answer counts: body, groups, and head, key and what selects it, these at least 512."""
    selected = sum(len(name) + len(value or "") for name, value in stored.variant.fields)
    size = charged_size(len(stored.body), len(stored.head) + len(key) + selected)
    return size + GROUP_OVERHEAD * len(stored.groups)


def _size(key: bytes, variants: list[CacheEntry]) -> int:
    return sum(charge(key, stored) for stored in variants)
