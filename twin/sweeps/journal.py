"""The journal of a sweep: what is finished is on disk, whatever happens next.

One line for each finished cell, appended and synchronised before the next; a line that a killed
process left half-written is dropped. One process owns the file, by a lock that ends with it.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from policies.bad_input import BadInput

_HEAD = ["cell", "outcome"]


class Journal:
    """Outcomes by key, in a file that only grows.

    Parameters
    ----------
    path : path
        Read if it is there, else made.

    Attributes
    ----------
    finished : dict of str to dict
        The outcome of each cell that was finished before.

    Raises
    ------
    BadInput
        If the file cannot be used: not writable, another process writes it, or it is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.finished: dict[str, dict[str, Any]] = {}
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise BadInput(str(path), "", f"cannot be written: {error.strerror}") from None
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def append(self, key: str, outcome: dict[str, Any]) -> None:
        """Write down that a cell is finished; on return it is on disk."""
        self._write([key, json.dumps(outcome, ensure_ascii=False)])

    def remove(self) -> None:
        """Delete the file: its content is elsewhere."""
        self._path.unlink()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(str(self._path), "", "another sweep is writing this file") from None

    def _read(self) -> None:
        with open(self._file, "rb", closefd=False) as file:
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        try:
            rows = list(csv.reader(io.StringIO(whole.decode("utf-8"), newline=""), strict=True))
            if rows and rows[0] != _HEAD:
                raise ValueError("another head")
            self.finished = {key: json.loads(outcome) for key, outcome in rows[1:]}
        except ValueError:  # also not UTF-8, and not JSON
            raise self._no_journal() from None
        except csv.Error:
            raise self._no_journal() from None
        os.ftruncate(self._file, len(whole))
        if not rows:
            self._write(_HEAD)
            self._sync_folder()

    def _no_journal(self) -> BadInput:
        return BadInput(str(self._path), "", "is not a sweep's journal; delete it or choose another --out")

    def _write(self, row: list[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        data = line.getvalue().encode("utf-8")
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise BadInput(str(self._path), "", f"cannot be written: {error.strerror}") from None

    def _sync_folder(self) -> None:
        """A new file's name is on disk only when its folder is."""
        folder = os.open(self._path.resolve().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
