"""A store with two tiers: responses in memory, and further ones on disk."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from policies.http_cache.directives import Header
from policies.http_cache.freshness import Forwarded, Request
from policies.http_cache.reuse import Use, reuse
from policies.settings import Cache as CacheSettings
from realproxy.cache.disk_store import DiskStore
from realproxy.cache.entry import CacheEntry
from realproxy.cache.purge import Purge
from realproxy.cache.store import CacheStore, Lookup


class TieredStore(CacheStore):
    """A `CacheStore` that also writes its responses to disk.

    Responses are dropped from disk first; otherwise a look-up could bring them back into memory.
    """

    may_wait = True

    def __init__(self, settings: CacheSettings, rng: random.Random, disk: DiskStore) -> None:
        super().__init__(settings, rng)
        self.disk = disk

    def put(self, key: bytes, stored: CacheEntry, asked: Header, since: float) -> bool:
        """Keep a response in memory, and have it written."""
        if stored.part is not None:
            self.disk.discard(key)  # parts are not written, and the file may be of another version
        kept = super().put(key, stored, asked, since)
        if kept and stored.part is None:
            self.disk.put(key, stored, since)
        return kept

    def recall(self, key: bytes, request: Request, asked: Header) -> Lookup | None:
        """What the disk has for a request. A small response is in memory afterwards."""
        if request.forward is not None:
            return None
        begun = time.monotonic()
        entry = self.disk.find(key, asked)
        use = Use.ASK if entry is None else reuse(entry.plain.answer, request, entry.plain.age(begun))
        if entry is None or use is Use.ASK:
            return None
        stored = self.disk.open(entry, large=use is not Use.STALE_WHILE_REVALIDATE)
        if stored is None:
            return None
        if stored.file is None:
            super().put(key, stored, asked, begun)
        self.count_hit()
        return Lookup(key, request, use, stored, Forwarded.STALE)

    def discard(self, key: bytes) -> bool:
        """Drop all variants of a key; returns whether there were any."""
        was = self.disk.discard(key)
        return super().discard(key) or was

    def invalidate(self, key: bytes, groups: Iterable[str] = ()) -> None:
        """Drop a key, and the keys in one of its groups or of `groups`, in both tiers."""
        groups = {*groups, *self.groups_of(key), *self.disk.groups_of(key)}
        self.disk.drop_groups(key, groups)
        self.disk.discard(key)
        super().invalidate(key, groups)

    def invalidate_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Drop the responses of the origin of `key` that belong to one of these groups."""
        self.disk.drop_groups(key, groups)
        super().invalidate_groups(key, groups)

    def close(self) -> None:
        """Stop the disk's thread."""
        self.disk.stop()

    def counts(self) -> dict[str, int]:
        """As for memory alone, and what is on disk."""
        on_disk = self.disk.counts()
        return {**super().counts(), "disk_objects": on_disk["objects"], "disk_bytes": on_disk["bytes"]}

    def _purge(self, purge: Purge) -> set[bytes]:
        return self.disk.purge(purge) | super()._purge(purge)
