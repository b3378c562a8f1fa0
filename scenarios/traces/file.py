"""Trace files: their format and compression, and the errors if they cannot be read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput
from policies.registry import nearest
from scenarios.traces.access_log import LOG_LINE, AccessLog
from scenarios.traces.block import Block, BrokenLines
from scenarios.traces.csv_rows import CsvRows
from scenarios.traces.oracle_general import read_oracle_general

FORMATS = ("csv", "combined", "oracleGeneral")
_ENDINGS = {".csv": "csv", ".log": "combined", ".oraclegeneral": "oracleGeneral"}
_COMPRESSED = (".gz", ".zst")


class TraceFile:
    """A trace that is read in blocks.

    Parameters
    ----------
    path : str or path
        ``*.csv``, ``*.log`` or ``*.oracleGeneral`` (also ``*.oracleGeneral.bin``), optionally with
        ``.gz`` or ``.zst`` at the end. A ``.zst`` file needs the package zstandard.
    kind : str, optional
        One of `FORMATS`; by default recognised by the name, or else by the content.
    skip_bad : bool
        Whether to count broken lines instead of stopping.
    zero_sizes : bool
        Whether an object may have zero bytes.

    Raises
    ------
    BadInput
        If the format is not recognised.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        kind: str | None = None,
        skip_bad: bool = False,
        zero_sizes: bool = True,
    ) -> None:
        self.path = Path(path)
        self.kind = _kind_of(self.path) if kind is None else _known(kind)
        self._zero_sizes = zero_sizes
        self._broken = BrokenLines(str(path), skip_bad)
        self._log = AccessLog()

    @property
    def skipped(self) -> int:
        """Number of broken lines, after the blocks were read."""
        return self._broken.count

    @property
    def first_skipped(self) -> str:
        """Position and problem of the first broken line."""
        return self._broken.first

    @property
    def left_out(self) -> int:
        """Valid lines of an access log that are not requests that a cache could answer."""
        return self._log.left_out

    @property
    def stored_bytes(self) -> int:
        """Length of the file on disk; 0 if unknown."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def blocks(self, progress: Callable[[int], None] | None = None) -> Iterator[Block]:
        """The requests in blocks.

        Parameters
        ----------
        progress : callable, optional
            Called after each block with the bytes of the file that were read for it.

        Raises
        ------
        BadInput
            For the first broken line, or if there are no requests.
        """
        requests, told = 0, 0
        try:
            with ExitStack() as stack:
                raw = stack.enter_context(self.path.open("rb"))
                for block in self._read(_unpacked(raw, self.path, stack)):
                    requests += len(block.times)
                    yield block
                    if progress is not None:
                        progress(raw.tell() - told)
                        told = raw.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadInput(str(self.path), "", f"is not a whole gzip file: {error}") from None
        except OSError as error:
            raise BadInput(str(self.path), "", f"cannot be read: {error.strerror}") from None
        if not requests:
            raise BadInput(str(self.path), "", "the trace holds no requests" + self._why_none())

    def _why_none(self) -> str:
        if self.skipped:
            return f"; broken lines: {self.skipped:,}, the first at {self.first_skipped}"
        return " that a cache could answer (successful GETs)" if self.left_out else ""

    def _read(self, file: Any) -> Iterator[Block]:
        if self.kind == "oracleGeneral":
            return read_oracle_general(file, self._broken, self._zero_sizes)
        if self.kind == "csv":
            return CsvRows(str(self.path), self._zero_sizes).read(file, self._broken)
        return self._log.read(file, self._broken)


def _known(kind: str) -> str:
    if kind not in FORMATS:
        raise BadInput("format", kind, f"unknown format of a trace{nearest(kind, list(FORMATS))}")
    return kind


def _kind_of(path: Path) -> str:
    endings = [ending.lower() for ending in path.suffixes]
    while endings and endings[-1] in (*_COMPRESSED, ".bin"):
        endings.pop()
    return _ENDINGS.get(endings[-1] if endings else "") or _kind_by_content(path)


def _kind_by_content(path: Path) -> str:
    head = b""
    if not path.exists() or path.is_dir() or path.is_file():  # a pipe gives its bytes only once
        try:
            with path.open("rb") as file:
                head = file.read(4096)
        except OSError as error:
            raise BadInput(str(path), "", f"cannot be read: {error.strerror}") from None
    if b"time_s" in head.partition(b"\n")[0]:
        return "csv"
    if LOG_LINE.match(head):
        return "combined"
    raise BadInput(str(path), "", "expected a trace named *.csv, *.log or *.oracleGeneral, or --format")


def _unpacked(raw: io.BufferedReader, path: Path, stack: ExitStack) -> Any:
    ending = path.suffix.lower()
    if ending == ".gz":
        return stack.enter_context(gzip.GzipFile(fileobj=raw))
    if ending != ".zst":
        return raw
    try:
        import zstandard
    except ModuleNotFoundError:
        raise BadInput(
            str(path), "", "needs the package zstandard; install proxytwin with its 'traces' extra"
        ) from None
    return stack.enter_context(_Zstandard(zstandard, raw, path))


class _Zstandard:
    """A compressed file that raises `BadInput` if it is broken."""

    def __init__(self, library: Any, raw: io.BufferedReader, path: Path) -> None:
        self._error = library.ZstdError
        self._path = path
        self._stream = library.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)

    def __enter__(self) -> _Zstandard:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except self._error as error:
            raise BadInput(str(self._path), "", f"is not a whole zstd file: {error}") from None
