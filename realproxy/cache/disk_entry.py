"""A stored response as a file: one line with a checksum, a header in JSON, then the body.

The first line gives the length and the CRC-32 of the header. The header holds all attributes of a
`CacheEntry`, and the length and CRC-32 of the body. A file is written under a temporary name and then
renamed, so a file under its name is complete. After a crash of the machine it may not be; the
checksums show that.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from policies.http_cache.freshness import Answer
from policies.http_cache.vary import Variant
from realproxy.cache.entry import CacheEntry

MAGIC = b"proxytwin-answer-1 "
_FIRST = len(MAGIC) + 18
CHUNK = 256 * 2**10
"""Bytes of one read of a body."""


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


class DiskEntry(NamedTuple):
    """A stored response on disk: the file, and the response without its body.

    `size` is the length of the file and `body_start` the offset of the body in it, in bytes. `crc` is the
    CRC-32 of the body, `key` the key in the store, and `plain` the response with an empty body.
    """

    path: Path
    size: int
    body_start: int
    crc: int
    key: bytes
    plain: CacheEntry


def encode(key: bytes, stored: CacheEntry, body: bytes) -> bytes:
    """The first line and the header of a file."""
    answer = {**stored.answer._asdict(), "omitted": sorted(stored.answer.omitted)}
    fields: dict[str, Any] = {
        "key": key.decode("latin-1"),
        "status": stored.status,
        "reason": stored.reason.decode("latin-1"),
        "head": stored.head.decode("latin-1"),
        "answer": answer,
        "born": time.time() - (time.monotonic() - stored.time_zero),
        "fields": stored.variant.fields,
        "language": stored.variant.language,
        "groups": stored.groups,
        "length": len(body),
        "crc": zlib.crc32(body),
    }
    header = json.dumps(fields).encode()
    return b"%b%08x %08x\n%b" % (MAGIC, len(header), zlib.crc32(header), header)


def write(path: Path, head: bytes, body: bytes) -> None:
    """Write a file; raises `OSError`."""
    with path.open("wb") as file:
        file.write(head)
        file.write(body)


def read_entry(path: Path) -> DiskEntry:
    """Read a file's header; raises `CorruptFile` or `OSError`."""
    with path.open("rb") as file:
        first = file.read(_FIRST)
        if len(first) != _FIRST or not first.startswith(MAGIC):
            raise CorruptFile
        try:
            length, crc = (int(part, 16) for part in first[len(MAGIC) :].split())
        except ValueError:
            raise CorruptFile from None
        header = file.read(length)
        size = os.fstat(file.fileno()).st_size
    if len(header) != length or zlib.crc32(header) != crc:
        raise CorruptFile
    fields = json.loads(header)
    if size != _FIRST + length + fields["length"]:
        raise CorruptFile
    return DiskEntry(
        path, size, _FIRST + length, fields["crc"], fields["key"].encode("latin-1"), _plain(fields)
    )


def _plain(fields: dict[str, Any]) -> CacheEntry:
    answer = Answer(**{**fields["answer"], "omitted": frozenset(fields["answer"]["omitted"])})
    variant = Variant(tuple((name, value) for name, value in fields["fields"]), fields["language"])
    time_zero = time.monotonic() - max(0.0, time.time() - fields["born"])
    return CacheEntry(
        fields["status"], fields["reason"].encode("latin-1"), fields["head"].encode("latin-1"), b"",
        answer, time_zero, variant, tuple(fields["groups"]),
    )  # fmt: skip


def read_body(fd: int, entry: DiskEntry) -> bytes:
    """Read and check the body; raises `CorruptFile` or `OSError`."""
    whole = b"".join(_chunks(fd, entry))
    if zlib.crc32(whole) != entry.crc:
        raise CorruptFile
    return whole


def check_body(fd: int, entry: DiskEntry) -> None:
    """Check the body, a chunk at a time; raises `CorruptFile` or `OSError`."""
    crc = 0
    for chunk in _chunks(fd, entry):
        crc = zlib.crc32(chunk, crc)
    if crc != entry.crc:
        raise CorruptFile


def _chunks(fd: int, entry: DiskEntry) -> Iterator[bytes]:
    body, offset = FileBody(fd, entry.body_start, entry.size - entry.body_start), 0
    while offset < len(body):
        chunk = body.read(offset)
        offset += len(chunk)
        yield chunk
