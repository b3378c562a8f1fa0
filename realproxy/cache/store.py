"""The store of responses: `policies.http_cache.index` behind one lock, with the bytes to send as values.

One object of the index is a URI. All its variants, the latest first, are stored and evicted together.

Threads. `CacheStore` has one lock around its index, counters, budget and claims.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Hashable, Iterable, Sequence
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
from realproxy.runtime.isolation import tolerate

# To name a member by its class is slow before Python 3.12.
_ASK, _FRESH, _REQUEST = Use.ASK, Use.FRESH, Forwarded.REQUEST

IN_FLIGHT = 64 * 2**20
"""Bytes of bodies on their way that may be recorded at once, if the capacity is not larger."""

PURGED_AT_ONCE = 1000
"""Keys that a purge drops before it gives up the lock for a moment."""
GROUP_HEAD = 256
"""Bytes that each group of a response adds to its head: the group's entry in the index."""
VARIANT_HEAD = 512
"""Bytes that each further variant of a URI adds to the head: its entry."""


def cache_key(service: str, request: RequestHead) -> bytes:
    """The key of a response: the service (empty on the forward side), and the absolute URI.

    So neither another service nor the forward side gets a service's response to the same URI. On the
    forward side the scheme is the target's, however the client is connected to this proxy.
    """
    scheme = request.scheme if service else b"http"
    return b"%b %b://%b%b" % (service.encode(), scheme, request.authority, request.path)


class Lookup(NamedTuple):
    """What the store has for a request: the entry that it selects, whether to use it, and if not, why.

    `key` is from `cache_key`, and `request` is what the request allows.
    """

    key: bytes
    request: Request
    use: Use
    entry: CacheEntry | None
    why: Forwarded


class _Index(ObjectCache[tuple[CacheEntry, ...]]):
    """The index, and the groups of the responses in it."""

    def __init__(self, eviction: EvictionPolicy) -> None:
        super().__init__(eviction)
        self.groups = TagIndex()

    def all_keys(self) -> list[bytes]:
        """All keys."""
        return list(map(_as_key, self._entries))

    def store(
        self, key: Hashable, value: tuple[CacheEntry, ...], size: int, fresh_until: float, now: float,
        kept_until: float | None = None,
    ) -> bool:  # fmt: skip
        """As `ObjectCache.store`; notes the groups too."""
        kept = super().store(key, value, size, fresh_until, now, kept_until)
        if kept:
            for stored in value:
                if stored.groups:
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
    """Stored responses under an eviction policy, which draws from `rng`."""

    may_wait = False
    """Whether a look-up may wait, as `recall` does if there is a slower tier."""

    def __init__(self, settings: CacheSettings, rng: random.Random) -> None:
        self._lock = threading.Lock()
        self.name = settings.name
        self.capacity, self._overhead = settings.capacity, settings.overhead
        self.largest_body = self.capacity - self._overhead
        self._index = _Index(build_eviction(settings, rng))
        self._budget = max(IN_FLIGHT, settings.capacity)
        self._hits = self._misses = 0
        self._revalidating: set[bytes] = set()
        self._changes = InvalidationLog()
        self._services: set[bytes] = set()

    def lookup(self, key: bytes, request: Request, asked: Header) -> Lookup:
        """What is stored for a request with the header fields `asked`, and whether it may be sent."""
        with self._lock:
            now = time.monotonic()
            # A request with another method, or with a body, selects no stored response.
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
            return Lookup(key, request, use, stored, _REQUEST)
        why = forward_reason(request, answer, age, bool(variants), lacks)
        return Lookup(key, request, use, stored, why)

    def count_hit(self) -> None:
        """Count a request that a slower tier has answered."""
        with self._lock:
            self._hits += 1

    def count_miss(self) -> None:
        """Count a request that the store could not answer."""
        with self._lock:
            self._misses += 1

    def put(self, key: bytes, stored: CacheEntry, asked: Header, since: float) -> bool:
        """Store the response to a request with the header fields `asked`; returns whether it is stored.

        `since` is when the request was made, on the monotonic clock. A response that was invalidated later
        is not stored: it may be older than the change.
        """
        with self._lock:
            now = time.monotonic()
            if self._changes.invalidated_since(key, stored.groups, since):
                return False
            self._services.add(key[: key.index(b" ")])
            time_zero, answer = stored.time_zero, stored.answer
            fresh, kept = time_zero + answer.lifetime, time_zero + answer.kept
            variants, size = [stored], charge(key, [stored], self._overhead)
            others = () if stored.variant is ANY else self._index.peek(key, now) or ()
            for other in [other for other in others if not selects(other.variant, asked)]:
                larger = charge(key, [*variants, other], self._overhead)
                if len(variants) == MOST_VARIANTS or larger > self.capacity:
                    break
                variants.append(other)
                size = larger
                fresh = max(fresh, other.time_zero + other.answer.lifetime)
                kept = max(kept, other.time_zero + other.answer.kept)
            try:
                return self._index.store(key, tuple(variants), size, fresh, now, kept)
            except Exception as error:  # noqa: BLE001 - the response must not suffer from an own policy
                tolerate(error)
                return False

    def selected(self, key: bytes, asked: Header) -> CacheEntry | None:
        """What a request selects, fresh or not, to combine a part with; does not count as a use."""
        with self._lock:
            return _select(self._index.peek(key, time.monotonic()) or (), asked)

    def recall(self, key: bytes, request: Request, asked: Header) -> Lookup | None:
        """What a slower tier has for a request that memory could not answer; None if nothing usable."""
        return None

    def close(self) -> None:
        """Stop the threads of the store."""

    def discard(self, key: bytes) -> bool:
        """Drop all variants of a key; returns whether there were any."""
        with self._lock:
            return self._index.discard(key)

    def groups_of(self, key: bytes) -> set[str]:
        """The groups of all variants of a key."""
        with self._lock:
            variants = self._index.peek(key, time.monotonic()) or ()
            return {group for stored in variants for group in stored.groups}

    def invalidate(self, key: bytes, groups: Iterable[str] = ()) -> None:
        """Drop a key, and the keys in one of its groups or of `groups`. RFC 9111, 4.4; RFC 9875, 2.2.1

        The further groups of those other keys stay valid.
        """
        with self._lock:
            now = time.monotonic()
            stored_groups = {group for one in self._index.peek(key, now) or () for group in one.groups}
            self._changes.record(key, now)
            self._index.discard(key)
            for group in stored_groups.union(groups):
                self._group_fell(key, group, now)

    def invalidate_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Drop the responses of the origin of `key` that belong to one of these groups. RFC 9875, 3"""
        with self._lock:
            now = time.monotonic()
            for group in groups:
                self._group_fell(key, group, now)

    def _group_fell(self, key: bytes, group: str, now: float) -> None:
        member = origin_of(key), group
        self._changes.record(member, now)
        for other in self._index.groups.keys(member):
            self._index.discard(other)

    def purge(self, purge: Purge) -> int:
        """Drop what an operator names; returns how many URIs were stored.

        The search for a prefix does not hold the lock, so hits go on.
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
        """Reserve memory for a body on its way, or give it back (negative); False if there is none."""
        with self._lock:
            if size > self._budget:
                return False
            self._budget -= size
            return True

    def lock_revalidation(self, key: bytes) -> bool:
        """Whether nobody else revalidates `key`; if so, call `unlock_revalidation` later."""
        with self._lock:
            if key in self._revalidating:
                return False
            self._revalidating.add(key)
            return True

    def unlock_revalidation(self, key: bytes) -> None:
        """Let `key` be revalidated again."""
        with self._lock:
            self._revalidating.discard(key)

    def contents(self) -> dict[bytes, tuple[CacheEntry, ...]]:
        """All variants of all keys, the latest first."""
        with self._lock:
            now = time.monotonic()
            return {key: self._index.peek(key, now) or () for key in self._index.all_keys()}

    def counts(self) -> dict[str, int]:
        """Hits and misses so far; objects and charged bytes now, and the same on disk."""
        with self._lock:
            used, objects = self._index.eviction.used, len(self._index)
            counts = {"hits": self._hits, "misses": self._misses, "objects": objects, "bytes": used}
            return {**counts, "disk_objects": 0, "disk_bytes": 0}


def _select(variants: tuple[CacheEntry, ...], asked: Header) -> CacheEntry | None:
    """The latest variant that a request selects. RFC 9111, 4.1"""
    for stored in variants:
        if stored.variant is ANY or selects(stored.variant, asked):
            return stored
    return None


def charge(key: bytes, variants: Sequence[CacheEntry], overhead: int) -> int:
    """Bytes that a URI is charged: the bodies of its variants, `overhead` for each, and very large heads."""
    body, head = 0, -VARIANT_HEAD
    for stored in variants:
        fields = stored.variant.fields
        selected = sum(len(name) + len(value or "") for name, value in fields) if fields else 0
        body += len(stored.body)
        head += VARIANT_HEAD + len(stored.head) + len(key) + selected + GROUP_HEAD * len(stored.groups)
    return charged_size(body, overhead * len(variants), head)
