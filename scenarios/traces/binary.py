"""Binary traces: libCacheSim's oracleGeneral, and VMware's vscsi in both versions, little-endian."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.traces.block import BLOCK_BYTES, Block, BrokenLines, LeftOut, Source

ORACLE_GENERAL = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
"""``<IQIq`` in the notation of ``struct``: seconds, the object, its bytes, and the number of the object's
next request, or -1, which is not used here."""

VSCSI = {
    1: np.dtype([("sn", "<u4"), ("size", "<u4"), ("parts", "<u4"), ("cmd", "<u2"), ("ver", "<u2"),
                 ("id", "<u8"), ("time", "<u8")]),
    2: np.dtype([("cmd", "<u2"), ("ver", "<u2"), ("sn", "<u4"), ("size", "<u4"), ("parts", "<u4"),
                 ("id", "<u8"), ("time", "<u8"), ("rt", "<u8")]),
}  # fmt: skip
"""By version, which is the upper byte of ``ver``: ``<IIIHHQQ`` and ``<HHIIIQQQ``. ``id`` is the logical
block number, ``size`` the bytes of the request, ``time`` microseconds. C. Waldspurger et al., "Efficient MRC
construction with SHARDS", FAST 2015, used such traces; libCacheSim reads them in the same way."""


class OracleGeneral:
    """Reads oracleGeneral files: the requests of any trace, reads and writes alike."""

    timed = True

    def __init__(self) -> None:
        self.left_out = LeftOut()

    def read(self, file: Source, broken: BrokenLines) -> Iterator[Block]:
        """The requests; a record that is cut off is reported by its number, from 1."""
        for rows in _records(file, ORACLE_GENERAL, broken):
            yield Block(rows["time"].astype(np.float64), rows["id"], rows["size"].astype(np.int64))


class Vscsi:
    """Reads vscsi files: a request is a command for a block, a read or a write.

    A written block is in the cache as a read one is. Commands without data are left out.
    """

    timed = True

    def __init__(self) -> None:
        self.left_out = LeftOut()

    def read(self, file: Source, broken: BrokenLines) -> Iterator[Block]:
        """The requests; a record of another version than the first one, or cut off, is reported."""
        head = file.read(2 * VSCSI[2].itemsize)
        version = vscsi_version(head)
        if version is None:
            raise broken.fatal("record 1", "expected a record of vscsi version 1 or 2")
        number = 1
        for rows in _records(file, VSCSI[version], broken, head):
            fits = (rows["ver"] >> 8 == version) & (rows["size"] < 2**31)
            for row in np.flatnonzero(~fits).tolist():
                broken.report(f"record {number + row}", f"expected a record of vscsi version {version}")
            used = fits & (rows["size"] > 0)
            if nothing := int((fits & ~used).sum()):
                self.left_out["command without data"] += nothing
            number += len(rows)
            if used.any():
                yield Block(rows["time"][used] / 1e6, rows["id"][used], rows["size"][used].astype(np.int64))


def _records(
    file: Source, kind: np.dtype[Any], broken: BrokenLines, rest: bytes = b""
) -> Iterator[NDArray[Any]]:
    number = 1
    while True:
        piece = file.read(BLOCK_BYTES)
        rest += piece
        rows = np.frombuffer(rest, kind, len(rest) // kind.itemsize)
        rest = rest[len(rows) * kind.itemsize :]
        number += len(rows)
        if len(rows):
            yield rows
        if not piece:
            break
    if rest:
        broken.report(f"record {number}", f"is cut off after {len(rest)} of {kind.itemsize} bytes")


def vscsi_version(head: bytes) -> int | None:
    """The version of a vscsi trace by its first two records; ``None`` if it is none.

    One record is enough if the file has no more.
    """
    for version in (2, 1):
        kind = VSCSI[version]
        rows = np.frombuffer(head, kind, min(2, len(head) // kind.itemsize))
        if len(rows) and (rows["ver"] >> 8 == version).all() and (rows["time"] < 2**62).all():
            return version
    return None


def may_be_oracle_general(head: bytes) -> bool:
    """Whether the first bytes of a file can be oracleGeneral records."""
    rows = np.frombuffer(head, ORACLE_GENERAL, min(len(head) // ORACLE_GENERAL.itemsize, 1000))
    if not len(rows):
        return False
    times, following = rows["time"].astype(np.int64), rows["next"]
    never = (following == -1) | (following == 2**63 - 1)
    later = (following > np.arange(len(rows))) & (following < 2**40)
    return bool((np.diff(times) >= 0).all() and (never | later).all())
