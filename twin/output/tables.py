"""Tables that a command writes: CSV or Parquet, by the name's ending."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pandas as pd

from policies.bad_input import BadInput
from twin.output.files import check_writable, write_whole

_CSV, _PARQUET = (".csv", ""), (".parquet", ".pq")
"""Endings of names; a device has none."""


def check_table(path: Path, option: str) -> None:
    """Raise `BadInput` if no table can be written to `path`; call it before the work begins."""
    if path.suffix.lower() not in (*_CSV, *_PARQUET):
        raise BadInput(option, str(path), f"not a table's name: {path.suffix!r}; expected .csv or .parquet")
    if is_parquet(path) and importlib.util.find_spec("pyarrow") is None:
        raise BadInput(
            option, str(path), "Parquet needs the package pyarrow; install proxytwin with its 'parquet' extra"
        )
    check_writable(path, option)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write the whole table or nothing."""
    if is_parquet(path):
        file = io.BytesIO()
        frame.to_parquet(file, index=False)
        write_whole(path, file.getvalue())
    else:
        write_whole(path, frame.to_csv(index=False, lineterminator="\n"))


def is_parquet(path: Path) -> bool:
    """Whether the name has an ending of Parquet."""
    return path.suffix.lower() in _PARQUET
