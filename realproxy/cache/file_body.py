"""A body in a file, which is read a chunk at a time."""

from __future__ import annotations

import os

CHUNK = 256 * 2**10
"""Bytes of one read."""


class CorruptFile(OSError):
    """The file is incomplete, or was changed."""


class FileBody:
    """A body on disk, or a part of one, which is sent without loading it into memory.

    Slices share the descriptor `fd`; close it once. `start` and `length` are in bytes.
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
        """Read at most `CHUNK` bytes from offset `at`; raises `CorruptFile` if there are none."""
        data = os.pread(self.fd, min(CHUNK, self.length - at), self.start + at)
        if not data:
            raise CorruptFile
        return data

    def close(self) -> None:
        """Close the file, for all slices."""
        os.close(self.fd)
