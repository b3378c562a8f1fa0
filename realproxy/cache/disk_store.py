"""The disk tier: what was stored is also written into files, and found again after a restart.

Threads. One lock around the index and the notes of changes; no file is read or written under it.
One thread writes, from a queue that holds a bounded number of bytes: if the disk is slow, answers
are not written, and nobody waits. Workers read, each with a descriptor of its own. A hit in memory
never comes here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import queue
import threading
import time
import zlib
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from pathlib import Path

from policies.bad_input import BadInput
from policies.eviction import EvictionPolicy, eviction_policies
from policies.http_cache.directives import FOREVER, Header
from policies.http_cache.index import ObjectCache
from policies.http_cache.vary import MOST_VARIANTS, selects
from policies.settings import Disk as DiskSettings
from realproxy.cache.disk_entry import DiskEntry, check_body, encode, read_body, read_entry, write
from realproxy.cache.entry import CacheEntry
from realproxy.cache.file_body import CorruptFile, FileBody
from realproxy.cache.purge import InvalidationLog, Purge, origin_of

QUEUED = 64 * 2**20
"""Bytes of bodies that wait to be written, at most."""
PROMOTED = 2**20
"""Bytes: smaller bodies are taken into memory when they are asked for, larger ones are sent from disk."""


FLUSH_PATIENCE = 10.0
"""Seconds for the writing of what waits."""
_ROOM = b" "
"""Stands in the index for the file that is being written."""


class _Files(ObjectCache[tuple[DiskEntry, ...]]):
    """The index; what leaves it leaves the disk."""

    def __init__(self, eviction: EvictionPolicy) -> None:
        super().__init__(eviction)
        self.staying: frozenset[Path] = frozenset()

    def all(self) -> dict[Hashable, tuple[DiskEntry, ...]]:
        """All entries."""
        return {key: entry[0] for key, entry in self._entries.items()}

    def _left(self, key: Hashable, value: tuple[DiskEntry, ...]) -> None:
        for entry in value:
            if entry.path not in self.staying:
                with contextlib.suppress(OSError):
                    entry.path.unlink()


class DiskStore:
    """Stored answers in a folder.

    Parameters
    ----------
    settings : policies.settings.DiskStore
        Its table.

    Raises
    ------
    BadInput
        If the folder cannot be used, or another proxy uses it.
    """

    def __init__(self, settings: DiskSettings) -> None:
        self._folder, self.capacity = Path(settings.folder), settings.capacity
        self._lock = threading.Lock()
        self._changes = InvalidationLog()
        self._files = _Files(eviction_policies["lru"](settings.capacity))
        self._checked: set[Path] = set()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._queued = 0
        self._guard = self._open()
        self._load()
        self._thread = threading.Thread(target=self._run, name="proxy-disk", daemon=True)
        self._thread.start()

    def _open(self) -> int:
        where = "cache.disk.folder"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            guard = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadInput("settings", where, f"cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(guard)
            raise BadInput("settings", where, "another proxy uses this folder") from None
        return guard

    def _load(self) -> None:
        """Find what an earlier run has left; what is torn or of no use any more is deleted."""
        for path in self._folder.glob("*.new"):
            path.unlink(missing_ok=True)
        files = sorted(self._folder.glob("*.answer"), key=lambda path: path.stat().st_mtime)
        for path in files:
            try:
                entry = read_entry(path)
            except (CorruptFile, OSError, KeyError, TypeError, ValueError):
                path.unlink(missing_ok=True)
                continue
            self._add(entry, time.monotonic())

    # --- called by the store --------------------------------------------------------------------

    def put(self, key: bytes, stored: CacheEntry) -> None:
        """Have an answer written, unless too much waits for that already."""
        with self._lock:
            if self._queued + len(stored.body) > QUEUED:
                return
            self._queued += len(stored.body)
        self._queue.put(partial(self._write, key, stored, time.monotonic()))

    def find(self, key: bytes, asked: Header) -> DiskEntry | None:
        """What a request selects."""
        with self._lock:
            now = time.monotonic()
            for entry in self._files.peek(key, now) or ():
                if selects(entry.plain.variant, asked):
                    self._files.touch(key, now)
                    return entry
        return None

    def groups_of(self, key: bytes) -> set[str]:
        """The groups of what is on disk for a key."""
        with self._lock:
            entries = self._files.peek(key, time.monotonic()) or ()
            return {group for entry in entries for group in entry.plain.groups}

    def open(self, entry: DiskEntry, *, large: bool = True) -> CacheEntry | None:
        """An answer with its body, in memory or, if it is long, still on disk; None if it is gone or torn.

        What is still on disk has an open file, see `CacheEntry.release`; it is None if `large` is not wanted.
        """
        if not large and entry.size - entry.at > PROMOTED:
            return None
        try:
            fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.discard(entry.key)
            return None
        try:
            if entry.size - entry.at <= PROMOTED:
                return entry.plain.with_body(read_body(fd, entry))
            if entry.path not in self._checked:
                check_body(fd, entry)
                self._checked.add(entry.path)
            body, fd = FileBody(fd, entry.at, entry.size - entry.at), -1
            return entry.plain.with_body(body)
        except (CorruptFile, OSError):
            self.discard(entry.key)
            return None
        finally:
            if fd >= 0:
                os.close(fd)

    def discard(self, key: bytes) -> bool:
        """Drop a key; returns whether it was there."""
        with self._lock:
            self._changes.record(key, time.monotonic())
            return self._files.discard(key)

    def drop_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Drop what has the origin of `key` and one of these groups."""
        origin, names = origin_of(key), frozenset(groups)
        with self._lock:
            now = time.monotonic()
            for group in names:
                self._changes.record((origin, group), now)
            for other, entries in self._files.all().items():
                shares = any(not names.isdisjoint(entry.plain.groups) for entry in entries)
                if shares and isinstance(other, bytes) and origin_of(other) == origin:
                    self._files.discard(other)

    def purge(self, purge: Purge) -> set[bytes]:
        """Drop what an operator names; returns the keys."""
        with self._lock:
            self._changes.record_purge(purge, time.monotonic())
            gone = {
                key
                for key, entries in self._files.all().items()
                if isinstance(key, bytes) and any(purge.matches(key, entry.plain.groups) for entry in entries)
            }
            for key in gone:
                self._files.discard(key)
        return gone

    def counts(self) -> dict[str, int]:
        """Objects and bytes on disk."""
        with self._lock:
            return {"objects": len(self._files), "bytes": self._files.eviction.used}

    def flush(self) -> None:
        """Wait until what was put before is written."""
        done = threading.Event()
        self._queue.put(done.set)
        done.wait(FLUSH_PATIENCE)

    def stop(self) -> None:
        """Write what waits, and end."""
        self._queue.put(None)
        self._thread.join(FLUSH_PATIENCE)
        os.close(self._guard)

    # --- the thread that writes -----------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            job()

    def _write(self, key: bytes, stored: CacheEntry, since: float) -> None:
        head = encode(key, stored, stored.body)
        name = hashlib.sha256(key + repr(stored.variant).encode()).hexdigest()
        path, beside = self._folder / f"{name}.answer", self._folder / f"{name}.new"
        size = len(head) + len(stored.body)
        plain = stored.with_body(b"")
        entry = DiskEntry(path, size, len(head), zlib.crc32(stored.body), key, plain)
        with self._lock:
            self._queued -= len(stored.body)
            # Room is made first, so that not even the file that is being written exceeds the capacity.
            if self._outdated(entry, since) or not self._files.store(_ROOM, (), size, FOREVER, 0.0):
                return
        try:
            write(beside, head, stored.body)
        except OSError:
            entry = entry._replace(size=-1)
        with self._lock:
            self._files.discard(_ROOM)
            if entry.size < 0 or self._outdated(entry, since):
                beside.unlink(missing_ok=True)
                return
            self._checked.add(path)
            beside.rename(path)
            self._add(entry, time.monotonic())

    def _outdated(self, entry: DiskEntry, since: float) -> bool:
        return self._changes.invalidated_since(entry.key, entry.plain.groups, since)

    def _add(self, entry: DiskEntry, now: float) -> None:
        """Take a file that is there into the index, beside the other variants of its key."""
        others = [other for other in self._files.peek(entry.key, now) or () if other.path != entry.path]
        entries = (entry, *others)[:MOST_VARIANTS]
        fresh = max(one.plain.time_zero + one.plain.answer.lifetime for one in entries)
        kept = max(one.plain.time_zero + one.plain.answer.kept for one in entries)
        self._files.staying = frozenset(one.path for one in entries)
        stays = self._files.store(entry.key, entries, sum(one.size for one in entries), fresh, now, kept)
        self._files.staying = frozenset()
        if not stays:
            for one in entries:
                one.path.unlink(missing_ok=True)
