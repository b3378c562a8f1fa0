"""What all readers of traces share: blocks of requests, and reports of broken lines."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.bad_input import BadInput

BLOCK_BYTES = 2**23
"""Bytes of a file that are read at a time."""


class Block(NamedTuple):
    """Consecutive requests of a trace.

    Attributes
    ----------
    times : ndarray of float64
        Seconds; never decreasing.
    keys : ndarray of uint64
        Numbers of the objects.
    sizes : ndarray of int64
        Bytes.
    service : ndarray of float64 or None
        Seconds of work at a backend, if the trace has them.
    """

    times: NDArray[np.float64]
    keys: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    service: NDArray[np.float64] | None = None


class BrokenLines:
    """Stops at the first broken line, or counts all of them.

    Parameters
    ----------
    path : str
        The file, for messages.
    skip : bool
        Whether to count instead of stopping.

    Attributes
    ----------
    count : int
        Broken lines so far.
    first : str
        Position and problem of the first one.
    """

    def __init__(self, path: str, skip: bool = False) -> None:
        self._path = path
        self._skip = skip
        self.count = 0
        self.first = ""

    def report(self, where: str, problem: str) -> None:
        """Report a broken line; `where` is its position, such as ``"line 7"``.

        Raises
        ------
        BadInput
            Unless broken lines are skipped.
        """
        if not self._skip:
            raise BadInput(self._path, where, problem)
        if not self.count:
            self.first = f"{where}: {problem}"
        self.count += 1


class Names:
    """Numbers for names, in the order of first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))


def whole_lines(file: io.BufferedIOBase, quoted: bool = False) -> Iterator[tuple[int, bytes]]:
    """Pieces of a text file that end at line ends, each with the number of its first line.

    Parameters
    ----------
    file : binary file
    quoted : bool
        Whether line ends within double quotes are part of a line, as in CSV.
    """
    line, rest = 1, b""
    while piece := file.read(BLOCK_BYTES):
        rest += piece
        end = _last_end(rest, quoted)
        if not end and len(rest) < 8 * BLOCK_BYTES:
            continue
        end = end or len(rest)
        yield line, rest[:end]
        line += rest.count(b"\n", 0, end)
        rest = rest[end:]
    if rest:
        yield line, rest


def _last_end(text: bytes, quoted: bool) -> int:
    """Position after the last complete line; 0 if there is none."""
    end = text.rfind(b"\n") + 1
    quotes = text.count(b'"', 0, end) if quoted else 0
    while end and quotes % 2:
        earlier = text.rfind(b"\n", 0, end - 1) + 1
        quotes -= text.count(b'"', earlier, end)
        end = earlier
    return end
