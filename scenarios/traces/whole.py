"""Reads a whole trace as a workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.bad_input import BadInput
from scenarios.traces.file import TraceFile
from scenarios.traces.opening import is_pipe


class Trace(NamedTuple):
    """A recorded workload.

    Attributes
    ----------
    times : ndarray of float64
        Seconds, as the trace has them; they may fall.
    objects : ndarray of int64
        Numbers of the objects, from 0.
    sizes : ndarray of int64
        Bytes of each object, by its number: those of its first request.
    service : ndarray of float64 or None
        Seconds of work at a backend, if the trace has them.
    notes : tuple of str
        What was left out or changed by the reading, one line each.
    """

    times: NDArray[np.float64]
    objects: NDArray[np.int64]
    sizes: NDArray[np.int64]
    service: NDArray[np.float64] | None
    notes: tuple[str, ...] = ()


def read_trace(
    path: str | Path | Sequence[str | Path],
    *,
    kind: str | None = None,
    columns: str | None = None,
    skip_bad: bool = False,
) -> Trace:
    """Read a trace from one file or several.

    An object keeps its first size.

    Parameters
    ----------
    path, kind, columns, skip_bad
        As `TraceFile` takes them.

    Raises
    ------
    BadInput
        For the first line that is wrong, or if the trace has no times, or can be read only once.
    """
    import pandas as pd  # slow to import, and load generators do not need it

    for one in [path] if isinstance(path, (str, Path)) else path:
        if is_pipe(one) and not Path(one).is_dir():
            raise BadInput(str(one), "", "is a pipe, but a scenario reads its trace several times")
    file = TraceFile(path, kind=kind, columns=columns, skip_bad=skip_bad)
    blocks = list(file.blocks())
    if not file.timed:
        raise BadInput(file.path, "", "has no times, so a scenario cannot replay it; 'proxytwin curve' can")
    times = np.concatenate([block.times for block in blocks])
    keys, asked = (np.concatenate([block[column] for block in blocks]) for column in (1, 2))
    service = np.concatenate([block.service for block in blocks]) if blocks[0].service is not None else None
    notes = notes_of(file)
    objects, _ = pd.factorize(keys)
    sizes = np.zeros(objects.max() + 1, dtype=np.int64)
    sizes[objects[::-1]] = asked[::-1]  # reversed, because the last of equal indices counts
    if changed := len(np.unique(objects[asked != sizes[objects]])):
        notes.append(
            f"{file.path}: {changed:,} of {len(sizes):,} objects come back with another size; "
            "in a scenario each keeps its first size"
        )
    return Trace(times, objects.astype(np.int64), sizes, service, tuple(notes))


def notes_of(file: TraceFile) -> list[str]:
    """What the reading of a trace skipped or left out, one line each."""
    notes = []
    if file.skipped:
        notes.append(f"{file.path}: skipped {file.skipped:,} broken lines, the first at {file.first_skipped}")
    if file.left_out:
        count = sum(file.left_out.values())
        notes.append(
            f"{file.path}: left out {count:,} lines that are no read of an object with a body: "
            + file.left_out.told()
        )
    return notes
