"""The journal of a sweep: it keeps the results of finished cells on disk, even after a crash.

It has one line for each finished cell, appended and synchronised before the next line. If a killed process
left half a line, the next process drops it. One process owns the file by a lock, which the kernel releases
when the process ends.
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from policies.bad_input import BadInput
from twin.output.file_lock import lock_file

_HEAD = ["cell", "outcome"]
_AS_BYTES = getattr(os, "O_BINARY", 0)
"""Without it, Windows would write other line ends."""


class Journal:
    """Outcomes by key, in a file to which lines are only appended.

    Parameters
    ----------
    path : path
        The file; it is read if it exists, else created.

    Attributes
    ----------
    finished : dict of str to dict
        The outcome of each cell that an earlier process finished.

    Raises
    ------
    BadInput
        If the file is not writable, if another process writes it, or if it is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.finished: dict[str, dict[str, Any]] = {}
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _AS_BYTES, 0o644)
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
        self._close()

    def append(self, key: str, outcome: dict[str, Any]) -> None:
        """Append the outcome of a finished cell; on return the line is on disk."""
        self._write([key, json.dumps(outcome, ensure_ascii=False)])

    def remove(self) -> None:
        """Delete the file, after its content was written elsewhere; nothing can be appended any more."""
        if os.name == "nt":  # where no open file can be deleted; elsewhere no other process gets it meanwhile
            self._close()
        self._path.unlink()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lock(self) -> None:
        try:
            lock_file(self._file)
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
        """Synchronise the folder: without that, the name of a new file may be lost in a crash."""
        if os.name == "nt":  # where a folder cannot be opened
            return
        folder = os.open(self._path.resolve().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
