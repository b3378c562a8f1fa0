"""The keys of a scenario's workload that say which trace it replays, and how to read it."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PlainValidator

from scenarios.traces import Columns, known_format
from scenarios.traces.opening import is_pipe


def _read_files(value: object) -> object:
    files = [value] if isinstance(value, str) else value
    if not isinstance(files, (list, tuple)) or not files or not all(isinstance(one, str) for one in files):
        raise ValueError("expected a file, or a list of files")
    if any(is_pipe(one) and not Path(one).is_dir() for one in files):
        raise ValueError("expected a file, not a pipe: a scenario reads its trace several times")
    return value if isinstance(value, str) else tuple(files)


def _check_columns(text: str) -> str:
    Columns(text)
    return text


TraceFiles = Annotated[str | tuple[str, ...], PlainValidator(_read_files)]
"""One file, or several that are one trace."""

TraceFormat = Annotated[str, AfterValidator(known_format)]
"""One of `scenarios.traces.FORMATS`."""

TraceColumns = Annotated[str, AfterValidator(_check_columns)]
"""See `scenarios.traces.Columns`."""


def check_trace_keys(given: Set[str], kind: str | None) -> None:
    """Raise `ValueError` if a key is given that says nothing about a trace.

    Parameters
    ----------
    given : set of str
        The keys of the workload that the file has.
    kind : str, optional
        The format.
    """
    for name in ("format", "columns", "skip_bad"):
        if name in given and "trace" not in given:
            raise ValueError(f"{name}: expected a 'trace' that it is about")
    if "columns" in given and kind not in (None, "csv"):
        raise ValueError(f"columns: only a CSV trace has columns to name, not {kind}")
