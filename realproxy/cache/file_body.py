"""A body that is in a file, read a chunk at a time."""

from __future__ import annotations

import os

CHUNK = 256 * 2**10
"""Bytes that are read at once."""


class CorruptFile(Exception):
    """A file that is not whole, or not what was written."""


class FileBody:
    """A body on disk, or a part of one, that is sent without being held in memory.

    Parameters
    ----------
    fd : int
        Of the file; parts share it, `close` is called once.
    start, length : int
        Bytes of the file.
    """

    __slots__ = ("fd", "length", "start")

    def __init__(self, fd: int, start: int, length: int) -> None:
        self.fd, self.start, self.length = fd, start, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> FileBody:
        start, stop, _ = part.indices(self.length)
        return FileBody(self.fd, self.start + start, max(0, stop - start))

    def read(self, at: int) -> bytes:
        """Some bytes from `at` on; raises `CorruptFile` if there are none."""
        data = os.pread(self.fd, min(CHUNK, self.length - at), self.start + at)
        if not data:
            raise CorruptFile
        return data

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)
