"""A lock on a file that the system releases when its process ends: Unix has one, Windows another."""

from __future__ import annotations

import os
from types import ModuleType

fcntl: ModuleType | None
msvcrt: ModuleType | None
try:
    import fcntl
except ModuleNotFoundError:
    fcntl = None
try:
    import msvcrt
except ModuleNotFoundError:
    msvcrt = None

_FAR_BEHIND = 2**40
"""Offset of the byte that Windows locks: no other process may read it, so it is none of the file's."""


def lock_file(fd: int) -> None:
    """Lock an open file for this process; raises `BlockingIOError` if another process holds it."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        before = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, _FAR_BEHIND, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError from None
        finally:
            os.lseek(fd, before, os.SEEK_SET)
