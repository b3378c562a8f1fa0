"""What all readers of traces share: blocks of requests, and reports of broken lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

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
        Seconds, as the file has them: they may begin at any number, and may fall.
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
    skip : bool
        Whether to count instead of stopping.

    Attributes
    ----------
    path : str
        The file that is being read, for messages.
    count : int
        Broken lines so far.
    first, first_path : str
        Position and problem of the first one, and its file.
    """

    def __init__(self, path: str, skip: bool = False) -> None:
        self.path = path
        self._skip = skip
        self.count = 0
        self.first = self.first_path = ""

    def report(self, where: str, problem: str) -> None:
        """Report a broken line; `where` is its position, such as ``"line 7"``.

        Raises
        ------
        BadInput
            Unless broken lines are skipped.
        """
        if not self._skip:
            raise self.fatal(where, problem)
        if not self.count:
            self.first = f"{where}: {problem}"
            self.first_path = self.path
        self.count += 1

    def fatal(self, where: str, problem: str) -> BadInput:
        """The error for a problem that no reading can go on after, such as a wrong head line."""
        return BadInput(self.path, where, problem)


class LeftOut(Counter[str]):
    """Valid lines that are no requests for an object, counted by the reason."""

    def told(self) -> str:
        """The reasons, the most frequent first: ``"POST 3, status 404 1"``."""
        shown = [f"{reason} {count:,}" for reason, count in self.most_common(4)]
        return ", ".join(shown + ["…"] * (len(self) > len(shown)))


class Source(Protocol):
    """Where a reader gets its bytes from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Names:
    """Numbers for names, in the order of first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def of(self, names: Iterable[str]) -> NDArray[np.uint64]:
        """The numbers of several names."""
        numbers = self._numbers
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.uint64)


def whole_lines(file: Source, quoted: bool = False) -> Iterator[tuple[int, bytes]]:
    """Pieces of a text file that end at line ends, each with the number of its first line.

    Parameters
    ----------
    file : Source
    quoted : bool
        Whether line ends within double quotes are part of a line, as in CSV.
    """
    line, rest = 1, b""
    while piece := file.read(BLOCK_BYTES):
        rest = rest + piece if rest else piece
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
