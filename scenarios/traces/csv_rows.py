"""Traces in CSV: a header with the names of the columns, then one request per line.

pandas parses the file in pieces. If it cannot parse a piece, or if a rule is broken in it, a slower
parser reads the piece again; that parser knows the line numbers.
"""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Iterator

import numpy as np

from policies.bad_input import BadInput
from scenarios.traces.block import Block, BrokenLines, Names, whole_lines

_NEEDED = ("time_s", "object", "size_bytes")
_BOM = b"\xef\xbb\xbf"
_LARGEST = 2**63 - 1


class CsvRows:
    """Reads the columns ``time_s,object,size_bytes`` and optionally ``service_s``; others are ignored.

    Parameters
    ----------
    path : str
        The file, for messages.
    zero_sizes : bool
        Whether an object may have zero bytes.
    """

    def __init__(self, path: str, zero_sizes: bool) -> None:
        self._path = path
        self._least_size = 0 if zero_sizes else 1
        self._names = Names()
        self._columns: list[str] = []
        self._timed = False
        self._last = 0.0

    def read(self, file: io.BufferedIOBase, broken: BrokenLines) -> Iterator[Block]:
        """The requests of a file.

        Raises
        ------
        BadInput
            If a column is missing.
        """
        for line, text in whole_lines(file, quoted=True):
            body = text if self._columns else self._read_head(text)
            first = line + text.count(b"\n", 0, len(text) - len(body))
            block = self._fast(body)
            if block is None:
                block = self._slow(first, body, broken)
            if len(block.times):
                self._last = float(block.times[-1])
                yield block
        if not self._columns:
            self._read_head(b"")

    def _read_head(self, text: bytes) -> bytes:
        """Parse the first line; returns the rest."""
        head, _, body = text.removeprefix(_BOM).partition(b"\n")
        self._columns = next(csv.reader([head.decode("utf-8", "replace")]), [])
        missing = set(_NEEDED) - set(self._columns)
        if missing:
            raise BadInput(self._path, "line 1", f"the column {min(missing)!r} is missing")
        for name in (*_NEEDED, "service_s"):
            if self._columns.count(name) > 1:
                raise BadInput(self._path, "line 1", f"the column {name!r} appears twice")
        self._timed = "service_s" in self._columns
        return body

    def _fast(self, body: bytes) -> Block | None:
        """Parse a piece without errors; ``None`` if it has any."""
        import pandas as pd  # slow to import, and load generators do not need it

        if not body.strip() or len(set(self._columns)) < len(self._columns):
            return None
        used = [*_NEEDED, "service_s"] if self._timed else list(_NEEDED)
        kinds = {"time_s": "float64", "object": "object", "size_bytes": "int64", "service_s": "float64"}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # too many fields
                warnings.simplefilter("error", RuntimeWarning)  # a size that no integer holds
                frame = pd.read_csv(
                    io.BytesIO(body), header=None, names=self._columns, usecols=used, index_col=False,
                    dtype={name: kinds[name] for name in used}, na_filter=False,
                )  # fmt: skip
        except (ValueError, TypeError, OverflowError, RuntimeWarning, pd.errors.ParserWarning):
            return None
        if body.count(b",") != (len(self._columns) - 1) * len(frame):
            return None  # pandas silently drops surplus fields
        codes, names = pd.factorize(frame["object"].to_numpy())
        if not len(frame) or not all(isinstance(name, str) and name for name in names):
            return None
        service = frame["service_s"].to_numpy() if self._timed else None
        block = Block(frame["time_s"].to_numpy(), codes, frame["size_bytes"].to_numpy(), service)
        if not self._keeps_the_rules(block):
            return None  # before names get numbers, because a skipped line must not get one
        return block._replace(keys=np.array([self._names[name] for name in names], dtype=np.uint64)[codes])

    def _keeps_the_rules(self, block: Block) -> bool:
        numbers = [block.times] if block.service is None else [block.times, block.service]
        return bool(
            all(np.isfinite(column).all() for column in numbers)
            and (block.sizes >= self._least_size).all()
            and (block.service is None or (block.service >= 0).all())
            and block.times[0] >= self._last
            and (np.diff(block.times) >= 0).all()
        )

    def _slow(self, first: int, body: bytes, broken: BrokenLines) -> Block:
        """Parse a piece line by line; `first` is the number of its first line."""
        lines = io.StringIO(body.decode("utf-8", "surrogateescape"), newline="")
        reader = csv.reader(lines)
        rows: list[tuple[float, int, int, float]] = []
        while True:
            number = first + reader.line_num  # of the first line of the row
            try:
                fields = next(reader)
                if fields:
                    rows.append(self._row(self._named(fields), rows[-1][0] if rows else self._last))
            except StopIteration:
                break
            except (csv.Error, ValueError) as error:
                broken.report(f"line {number}", str(error))
        times, keys, sizes, service = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Block(
            np.array(times, np.float64),
            np.array(keys, np.uint64),
            np.array(sizes, np.int64),
            np.array(service, np.float64) if self._timed else None,
        )

    def _named(self, fields: list[str]) -> dict[str, str]:
        """The fields of a row by column; missing fields are empty."""
        count = len(self._columns)
        if len(fields) > count:
            raise ValueError(f"expected {count} fields, not {len(fields)}")
        return dict(zip(self._columns, fields + [""] * (count - len(fields)), strict=True))

    def _row(self, row: dict[str, str], last: float) -> tuple[float, int, int, float]:
        """One request; raises `ValueError` with what was expected."""
        try:
            time, size = float(row["time_s"]), _whole(row["size_bytes"])
            work = float(row["service_s"]) if self._timed else 0.0
        except (TypeError, ValueError):
            columns = "time_s, size_bytes and service_s" if self._timed else "time_s and size_bytes"
            raise ValueError(f"expected numbers for {columns}") from None
        name = row["object"]
        if not name:
            raise ValueError("expected a name for object")
        if any("\udc80" <= letter <= "\udcff" for letter in name):
            raise ValueError("is not UTF-8 text")
        if not (math.isfinite(time) and math.isfinite(work)) or size < 0 or work < 0:
            raise ValueError("expected finite numbers that are not negative")
        if not self._least_size <= size <= _LARGEST:
            raise ValueError("expected a size above 0" if not size else f"no object has {size:g} bytes")
        if time < last:
            raise ValueError(f"times must not fall, yet {time:g} comes after {last:g}")
        return time, self._names[name], size, work


def _whole(text: str) -> int:
    """An integer; spreadsheets also write ``1e+06`` and ``100.0``."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():  # also false for infinity
            raise
        return int(number)
