"""The disk tier: stored responses are also written into files, and are found again after a restart.

Threads. One lock protects the index and the log of invalidations; no file is read or written under it. One
thread writes, from a queue that holds a bounded number of bytes: if the disk is slow, responses are not
written, and no request waits. Workers read, each with its own descriptor. A hit in memory does not
use this module.
"""

from __future__ import annotations

import contextlib
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
from realproxy.cache.disk_entry import DiskEntry, FileBody, check_body, encode, read_body, read_entry, write
from realproxy.cache.entry import CacheEntry
from realproxy.cache.purge import InvalidationLog, Purge, origin_of

MAX_QUEUED = 64 * 2**20
"""Bytes of bodies that may wait to be written."""
PROMOTED = 2**20
"""Bytes: a hit on a body up to this size brings it into memory; a larger body is sent from its file."""
FLUSH_TIMEOUT = 10.0
"""Seconds for writing the queue at the end."""
_RESERVED = b" "
"""Key that stands in the index for the file that is being written."""


class _Files(ObjectCache[tuple[DiskEntry, ...]]):
    """The index of the files. When an entry leaves the index, its files are deleted."""

    def __init__(self, eviction: EvictionPolicy) -> None:
        super().__init__(eviction)
        self.kept: frozenset[Path] = frozenset()
        """Files that stay although their entry is being replaced."""

    def all(self) -> dict[Hashable, tuple[DiskEntry, ...]]:
        """All entries."""
        return {key: entry[0] for key, entry in self._entries.items()}

    def _left(self, key: Hashable, value: tuple[DiskEntry, ...]) -> None:
        for entry in value:
            if entry.path not in self.kept:
                with contextlib.suppress(OSError):
                    entry.path.unlink()


class DiskStore:
    """Stored responses in a folder, which a lock file reserves for one proxy.

    Raises `BadInput` if the folder cannot be used, or if another proxy uses it.
    """

    def __init__(self, settings: DiskSettings) -> None:
        self._folder, self.capacity = Path(settings.folder), settings.capacity
        self._lock = threading.Lock()
        self._changes = InvalidationLog()
        self._files = _Files(eviction_policies["lru"](settings.capacity))
        self._checked: set[Path] = set()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._queued = 0
        self._thread = threading.Thread(target=self._run, name="proxy-disk", daemon=True)
        self._lock_fd = self._open_folder()
        try:
            self._load()
            self._thread.start()
        except BaseException:
            os.close(self._lock_fd)
            raise

    def _open_folder(self) -> int:
        import fcntl  # only where a proxy runs: `proxytwin explain` imports this module on every system

        key = "cache.disk.folder"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock_fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadInput("settings", key, f"cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock_fd)
            raise BadInput("settings", key, "another proxy uses this folder") from None
        return lock_fd

    def _load(self) -> None:
        """Index the files of an earlier run. Delete the corrupt and the expired ones."""
        for path in self._folder.glob("*.new"):
            path.unlink(missing_ok=True)
        files = sorted(self._folder.glob("*.answer"), key=lambda path: path.stat().st_mtime)
        for path in files:
            try:
                entry = read_entry(path)
            except (OSError, KeyError, TypeError, ValueError):
                path.unlink(missing_ok=True)
                continue
            self._add(entry, time.monotonic())

    # --- called by the store --------------------------------------------------------------------

    def put(self, key: bytes, stored: CacheEntry, since: float) -> None:
        """Queue a response, unless the queue is full. One that is dropped after `since` is not written."""
        with self._lock:
            if self._queued + len(stored.body) > MAX_QUEUED:
                return
            self._queued += len(stored.body)
        self._queue.put(partial(self._write, key, stored, since))

    def find(self, key: bytes, asked: Header) -> DiskEntry | None:
        """The variant that a request with the header fields `asked` selects."""
        with self._lock:
            now = time.monotonic()
            for entry in self._files.peek(key, now) or ():
                if selects(entry.plain.variant, asked):
                    self._files.touch(key, now)
                    return entry
        return None

    def groups_of(self, key: bytes) -> set[str]:
        """The cache groups (RFC 9875) of all variants of a key."""
        with self._lock:
            entries = self._files.peek(key, time.monotonic()) or ()
            return {group for entry in entries for group in entry.plain.groups}

    def open(self, entry: DiskEntry, *, large: bool = True) -> CacheEntry | None:
        """Return a response with its body; None if the file is missing or corrupt.

        A body of more than `PROMOTED` bytes is a `FileBody`, with an open file that `CacheEntry.release`
        closes; without `large`, return None instead.
        """
        length = entry.size - entry.body_start
        if not large and length > PROMOTED:
            return None
        fd = -1
        try:
            fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
            if length <= PROMOTED:
                return entry.plain.with_body(read_body(fd, entry))
            if entry.path not in self._checked:
                check_body(fd, entry)
                self._checked.add(entry.path)
            body, fd = FileBody(fd, entry.body_start, length), -1
            return entry.plain.with_body(body)
        except OSError:
            self.discard(entry.key)
            return None
        finally:
            if fd >= 0:
                os.close(fd)

    def discard(self, key: bytes) -> bool:
        """Drop all variants of a key; returns whether there were any."""
        with self._lock:
            self._changes.record(key, time.monotonic())
            return self._files.discard(key)

    def drop_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Drop the responses of the origin of `key` that belong to one of these groups. RFC 9875"""
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
        """Drop the responses that an operator's purge names; returns their keys."""
        with self._lock:
            self._changes.record_purge(purge, time.monotonic())
            purged = {
                key
                for key, entries in self._files.all().items()
                if isinstance(key, bytes) and any(purge.matches(key, entry.plain.groups) for entry in entries)
            }
            for key in purged:
                self._files.discard(key)
        return purged

    def counts(self) -> dict[str, int]:
        """Keys (``objects``) and bytes on disk."""
        with self._lock:
            return {"objects": len(self._files), "bytes": self._files.eviction.used}

    def flush(self) -> None:
        """Wait until the responses that were queued before are written."""
        done = threading.Event()
        self._queue.put(done.set)
        done.wait(FLUSH_TIMEOUT)

    def stop(self) -> None:
        """Write the queue, and end the thread."""
        self._queue.put(None)
        self._thread.join(FLUSH_TIMEOUT)
        os.close(self._lock_fd)

    # --- the thread that writes -----------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            job()

    def _write(self, key: bytes, stored: CacheEntry, since: float) -> None:
        head = encode(key, stored, stored.body)
        name = hashlib.sha256(key + repr(stored.variant).encode()).hexdigest()
        path, new_path = self._folder / f"{name}.answer", self._folder / f"{name}.new"
        size = len(head) + len(stored.body)
        plain = stored.with_body(b"")
        entry = DiskEntry(path, size, len(head), zlib.crc32(stored.body), key, plain)
        with self._lock:
            self._queued -= len(stored.body)
            # Reserve the space first, so that the file that is being written does not exceed the capacity.
            if self._outdated(entry, since) or not self._files.store(_RESERVED, (), size, FOREVER, 0.0):
                return
        try:
            write(new_path, head, stored.body)
        except OSError:
            entry = entry._replace(size=-1)
        with self._lock:
            self._files.discard(_RESERVED)
            if entry.size < 0 or self._outdated(entry, since):
                new_path.unlink(missing_ok=True)
                return
            self._checked.add(path)
            new_path.rename(path)
            self._add(entry, time.monotonic())

    def _outdated(self, entry: DiskEntry, since: float) -> bool:
        return self._changes.invalidated_since(entry.key, entry.plain.groups, since)

    def _add(self, entry: DiskEntry, now: float) -> None:
        """Add a complete file to the index, beside the other variants of its key."""
        others = [other for other in self._files.peek(entry.key, now) or () if other.path != entry.path]
        entries = (entry, *others)[:MOST_VARIANTS]
        fresh_until = max(one.plain.time_zero + one.plain.answer.lifetime for one in entries)
        kept_until = max(one.plain.time_zero + one.plain.answer.kept for one in entries)
        size = sum(one.size for one in entries)
        self._files.kept = frozenset(one.path for one in entries)
        stored = self._files.store(entry.key, entries, size, fresh_until, now, kept_until)
        self._files.kept = frozenset()
        if not stored:
            for one in entries:
                one.path.unlink(missing_ok=True)
