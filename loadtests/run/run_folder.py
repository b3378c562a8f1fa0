"""A temporary folder that is removed soon after its owner ends, even if the owner was killed.

The owner holds a lock on the folder. The kernel releases the lock when the owner ends, for any reason. Before
a process creates such a folder, it removes all folders without a lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "proxytwin-run-"


class RunFolder:
    """A new temporary folder of this process, at `path`."""

    def __init__(self) -> None:
        remove_abandoned()
        lock = None
        while lock is None:  # before it is locked, another process may take it for abandoned and remove it
            self._temporary = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
            self.path = Path(self._temporary.name)
            try:
                lock = _lock(self.path)
            except OSError:
                lock = -1  # this file system has no locks, so no process takes it for abandoned
            if lock is None:
                self._temporary.cleanup()
        self._held = lock

    def close(self) -> None:
        """Remove the folder and its content."""
        self._temporary.cleanup()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def remove_abandoned() -> None:
    """Remove this user's folders whose owner has ended."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid != os.getuid():
                continue
            lock = _lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """Lock a folder; returns its descriptor, or None if another process holds or has removed it."""
    import fcntl  # Windows has none, but can import this module

    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), path.lstat()):  # otherwise it was removed meanwhile
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
    return None
