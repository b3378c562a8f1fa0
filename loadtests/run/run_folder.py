"""A temporary folder that does not outlive its owner for long, even one that was killed.

Its owner holds a lock on it, which the kernel takes back when that process is gone, however it went.
So whoever makes a folder of this kind removes first those that nobody holds any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "proxytwin-run-"


class RunFolder:
    """A new temporary folder of this process.

    Attributes
    ----------
    path : Path
        Where it is.
    """

    def __init__(self) -> None:
        remove_abandoned()
        lock = None
        while lock is None:  # one that is not held yet looks abandoned, and may be gone at once
            self._temporary = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
            self.path = Path(self._temporary.name)
            try:
                lock = _lock(self.path)
            except OSError:
                lock = -1  # no locks here, so nobody will take it for abandoned
            if lock is None:
                self._temporary.cleanup()
        self._held = lock

    def close(self) -> None:
        """Remove it, with what is in it."""
        self._temporary.cleanup()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def remove_abandoned() -> None:
    """Remove this user's folders whose owner is gone."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid != os.getuid():
                continue
            lock = _lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """The descriptor of a folder that is held now; None if another process holds it, or has removed it."""
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), path.lstat()):  # else it was removed in between
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
    return None
