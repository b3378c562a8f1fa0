"""Trace files: one trace in one file or several, and the errors if they cannot be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from policies.bad_input import BadInput
from scenarios.traces.binary import OracleGeneral, Vscsi
from scenarios.traces.block import Block, BrokenLines, LeftOut
from scenarios.traces.columns import Columns
from scenarios.traces.csv_rows import CsvRows
from scenarios.traces.http_log import HttpLog
from scenarios.traces.json_lines import JsonLines
from scenarios.traces.log_lines import S3, Combined, HaProxy, HostLast, LoadBalancer, Squid
from scenarios.traces.opening import Opened, is_pipe
from scenarios.traces.recognise import BINARY, binary_kind, known_format, text_kind
from scenarios.traces.txt_lines import TxtLines
from scenarios.traces.w3c import Extended

_LOGS: dict[str, Callable[[], Any]] = {
    "combined": Combined, "combined_host_last": HostLast, "w3c": Extended, "s3": S3, "aws_lb": LoadBalancer,
    "json": JsonLines, "squid": Squid, "haproxy": HaProxy,
}  # fmt: skip
_OTHERS: dict[str, Callable[[], Any]] = {"oracleGeneral": OracleGeneral, "vscsi": Vscsi, "txt": TxtLines}


class TraceFile:
    """A trace that is read in blocks.

    Parameters
    ----------
    path : str or path, or a sequence of them
        A file, packed or not; ``-`` is standard input. Several files are one trace: they are read in the
        order of their first requests, so that rotated logs may be named in any order.
    kind : str, optional
        One of `FORMATS`; by default recognised by the content.
    columns : str, optional
        Which columns of a CSV file hold what, see `Columns`.
    skip_bad : bool
        Whether to count broken lines instead of stopping.

    Raises
    ------
    BadInput
        If a file cannot be opened, or its format is not recognised.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        *,
        kind: str | None = None,
        columns: str | None = None,
        skip_bad: bool = False,
    ) -> None:
        self._paths = [str(one) for one in ([path] if isinstance(path, (str, Path)) else path)]
        self._kind = None if kind is None else _known(kind)
        self._columns = None if columns is None else _columns(columns, self._kind)
        self._broken = BrokenLines(self._paths[0], skip_bad)
        self._pipes: dict[str, Opened] = {}
        try:
            for one in filter(is_pipe, self._paths):
                self._pipes[one] = self._open(one)
            self.kind = self._one_kind()
        except BaseException:
            for pipe in self._pipes.values():
                pipe.close()
            raise
        self._reader = self._new_reader()

    @property
    def path(self) -> str:
        """The name of the trace, for messages."""
        if len(self._paths) == 1:
            return "standard input" if self._paths[0] == "-" else self._paths[0]
        return f"{self._paths[0]} and {len(self._paths) - 1} more"

    @property
    def skipped(self) -> int:
        """Number of broken lines, after the blocks were read."""
        return self._broken.count

    @property
    def first_skipped(self) -> str:
        """Position and problem of the first broken line, with its file if there are several."""
        where = f"{self._broken.first_path}: " if len(self._paths) > 1 else ""
        return where + self._broken.first

    @property
    def left_out(self) -> LeftOut:
        """Valid lines that are not requests for an object, by their reason."""
        found: LeftOut = self._reader.left_out
        return found

    @property
    def timed(self) -> bool:
        """Whether the trace has times, after a block was read."""
        return bool(self._reader.timed)

    @property
    def stored_bytes(self) -> int:
        """Length of the files on disk; 0 if unknown."""
        if self._pipes:
            return 0
        return sum(Path(one).stat().st_size for one in self._paths if Path(one).is_file())

    def blocks(self, progress: Callable[[int], None] | None = None) -> Iterator[Block]:
        """The requests in blocks.

        Parameters
        ----------
        progress : callable, optional
            Called after each block with the bytes of the files that were read for it.

        Raises
        ------
        BadInput
            For the first broken line, or if there are no requests.
        """
        requests = 0
        for path in self._ordered():
            self._broken.path = path
            with closing(self._pipes.pop(path) if path in self._pipes else self._open(path)) as file:
                told = 0
                for block in self._reader.read(file, self._broken):
                    requests += len(block.times)
                    yield block
                    if progress is not None:
                        progress(file.consumed - told)
                        told = file.consumed
                if progress is not None:
                    progress(file.consumed - told)
        if not requests:
            raise BadInput(self.path, "", "the trace holds no requests" + self._why_none())

    def _why_none(self) -> str:
        if self.skipped:
            return f"; broken lines: {self.skipped:,}, the first at {self.first_skipped}"
        if not self.left_out:
            return ""
        return f" that a cache could answer; left out: {self.left_out.told()}"

    def _open(self, path: str) -> Opened:
        file = Opened(path)
        try:
            kind = self._kind_of(path, file.head)
            return file if kind in BINARY else file.as_text()
        except BaseException:
            file.close()
            raise

    def _kind_of(self, path: str, head: bytes) -> str | None:
        """The binary format of a file; ``None`` for a text."""
        if self._kind is not None or self._columns is not None:
            return self._kind if self._kind in BINARY else None
        return binary_kind(path, head)

    def _one_kind(self) -> str:
        kinds: dict[str, str] = {}
        with ExitStack() as stack:
            for path in self._paths:
                file = self._pipes.get(path) or stack.enter_context(closing(self._open(path)))
                kinds.setdefault(self._told_kind(path, file), path)
        if len(kinds) > 1:
            (kind, path), (other, otherwise) = list(kinds.items())[:2]
            raise BadInput(otherwise, "", f"is {other}, but {path} is {kind}; one trace has one format")
        return next(iter(kinds))

    def _told_kind(self, path: str, file: Opened) -> str:
        if self._kind is not None:
            return self._kind
        if self._columns is not None:
            return "csv"
        return self._kind_of(path, file.head) or text_kind(path, file.head)

    def _new_reader(self) -> Any:
        if self.kind in _LOGS:
            return HttpLog(_LOGS[self.kind]())
        if self.kind in _OTHERS:
            return _OTHERS[self.kind]()
        return CsvRows(self.kind, self._columns)

    def _ordered(self) -> list[str]:
        """The files by their first request; as given if that cannot be told."""
        if len(self._paths) == 1 or self._pipes:
            return self._paths
        starts = {path: self._start(path) for path in self._paths}
        if math.inf in starts.values():
            return self._paths
        return sorted(self._paths, key=lambda path: starts[path])

    def _start(self, path: str) -> float:
        """The earliest time at the beginning of a file; infinite if it is not known."""
        reader = self._new_reader()
        with closing(self._open(path)) as file:
            whole = 24 * 2**10 if self.kind in BINARY else file.head.rfind(b"\n") + 1
            head = file.head[:whole]
            try:
                block = next(reader.read(_Head(head), BrokenLines(path, skip=True)), None)
            except BadInput:
                return math.inf  # the reading will tell
        return float(np.min(block.times)) if block is not None and reader.timed else math.inf


class _Head:
    """The first bytes of a file as a source."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def read(self, size: int, /) -> bytes:
        piece, self._head = self._head, b""
        return piece


def _known(kind: str) -> str:
    try:
        return known_format(kind)
    except ValueError as error:
        raise BadInput("format", kind, str(error)) from None


def _columns(text: str, kind: str | None) -> Columns:
    if kind not in (None, "csv"):
        raise BadInput("columns", text, f"only a CSV file has columns to name, not {kind}")
    try:
        return Columns(text)
    except ValueError as error:
        raise BadInput("columns", text, str(error)) from None
