"""What all logs of HTTP requests share: which lines are requests that a cache could answer, and for what.

An object is what tells it apart in the log: scheme, host and port as far as they are logged, path and
query. A cache could answer a successful GET. Other methods (POST, HEAD, PUT, ...) and other statuses are
left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from scenarios.traces.block import Block, BrokenLines, LeftOut, Names, Source, whole_lines

ANSWERED = frozenset(("200", "203", "206", "304"))
"""Statuses of requests that a cache could answer; 304 has no body, but asks for the same object."""

LARGEST = 2**50
"""Bytes of the largest object: a pebibyte."""

_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Entry(NamedTuple):
    """One line of a log.

    Attributes
    ----------
    time : float
        Seconds since 1970.
    method : str
        Empty if the line is no request.
    name : str
        What tells the object apart.
    status : str
        Three digits.
    size : int
        Bytes; 0 if they are not logged.
    """

    time: float
    method: str
    name: str
    status: str
    size: int


class LogFormat(Protocol):
    """How the lines of a log are written."""

    def begin(self) -> None:
        """A new file begins."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line; ``None`` for a remark. Raises `ValueError` with what was expected."""


class HttpLog:
    """Reads the requests of a log that a cache could answer.

    The size of an object is that of its first response with a body; later lines without a size (a 304 has
    ``0`` or ``-``) use the same size.

    Parameters
    ----------
    style : LogFormat

    Attributes
    ----------
    left_out : LeftOut
        Lines that are no successful GET, or whose object has had no body so far.
    """

    timed = True

    def __init__(self, style: LogFormat) -> None:
        self.left_out = LeftOut()
        self._style = style
        self._names = Names()
        self._sizes: dict[int, int] = {}

    def read(self, file: Source, broken: BrokenLines) -> Iterator[Block]:
        """The requests of a log; may be called again for the next file of the same trace."""
        self._style.begin()
        for line, text in whole_lines(file):
            rows = list(self._rows(line, text, broken))
            if rows:
                times, keys, sizes = zip(*rows, strict=True)
                yield Block(np.array(times, np.float64), np.array(keys, np.uint64), np.array(sizes, np.int64))

    def _rows(self, line: int, text: bytes, broken: BrokenLines) -> Iterator[tuple[float, int, int]]:
        parse, row = self._style.entry, self._row
        for number, written in enumerate(text.decode("latin-1").split("\n"), line):
            if not written or written.isspace():
                continue
            try:
                entry = parse(written)
            except (ValueError, RecursionError) as error:
                broken.report(f"line {number}", str(error))
                continue
            if entry is not None and (found := row(entry)) is not None:
                yield found

    def _row(self, entry: Entry) -> tuple[float, int, int] | None:
        time, method, name, status, size = entry
        if method != "GET" or status not in ANSWERED:
            self.left_out[_why(method, status)] += 1
            return None
        key = self._names[name]
        known = self._sizes.get(key)
        if known is None:
            if not size:
                self.left_out["no body"] += 1
                return None
            self._sizes[key] = known = size
        return time, key, known


def _why(method: str, status: str) -> str:
    if method == "GET":
        return f"status {status[:20]}"
    return method if method.isalpha() and method.isascii() and len(method) <= 20 else "no request"


def size_of(text: str) -> int:
    """Bytes as logs write them; 0 for ``-``.

    Raises
    ------
    ValueError
        If no object has so many.
    """
    if text in ("-", ""):
        return 0
    size = int(text) if len(text) < 20 else LARGEST + 1
    if not 0 <= size <= LARGEST:
        raise ValueError(f"no object has {text[:40]} bytes")
    return size


def split_request(line: str) -> tuple[str, str]:
    """Method and target of a logged request line; the target may hold blanks, as some clients send it."""
    method, _, rest = line.partition(" ")
    target, version, _ = rest.rpartition(" HTTP/")
    return method, target if version else rest


def object_name(target: str, host: str = "") -> str:
    """What tells an object apart: the target, behind the host where the target does not hold it.

    The host is compared without regard to case, and the default port of a scheme may be left out (RFC
    9110, 4.2.3). A fragment is no part of a request.

    Examples
    --------
    >>> object_name("HTTP://Shop.Test:80/a?b#c"), object_name("/a", "Shop.Test:443")
    ('http://shop.test/a?b', 'shop.test:443/a')
    """
    if "#" in target:
        target = target.partition("#")[0]
    if "://" in target:
        found = _ABSOLUTE.fullmatch(target)
        if found is not None:
            scheme = found[1].lower()
            authority = found[2].lower().removesuffix(_DEFAULT_PORTS.get(scheme, ":"))
            rest = found[3]
            return f"{scheme}://{authority}{rest if rest[:1] == '/' else '/' + rest}"
    return host.lower() + target if host else target
