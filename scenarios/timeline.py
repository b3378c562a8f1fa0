"""When the requests of a trace are due: time begins at the first one, and `duration` follows the last."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.mistaken_trace import check_trace
from scenarios.schema import Scenario, WorkloadSettings
from scenarios.traces import Trace, read_trace

_AT_ONCE_S = 1.0
"""Duration of a trace whose requests all come at one moment."""


class Timeline(NamedTuple):
    """A trace as it is replayed.

    Attributes
    ----------
    trace : Trace
        In the order of its times; the first time is 0.
    first : float
        The first time as the file has it.
    moved : int
        Requests that the file has after a later one.
    """

    trace: Trace
    first: float
    moved: int


def timeline(workload: WorkloadSettings) -> Timeline:
    """The trace of a workload, which must have one; raises `BadInput` if it cannot be read.

    A trace stays in memory, because every variant and every replication replays it.
    """
    files = workload.trace_files
    return _read(files, workload.format, workload.columns, workload.skip_bad, tuple(map(_version, files)))


def _version(file: str) -> tuple[int, int, int] | None:
    """What changes if another file takes the place of a file."""
    try:
        stat = Path(file).stat()
    except OSError:
        return None  # the reader says why
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@lru_cache(maxsize=4)
def _read(
    files: tuple[str, ...], kind: str | None, columns: str | None, skip_bad: bool, _versions: object
) -> Timeline:
    for file in files:
        check_trace(file)
    trace = read_trace(files, kind=kind, columns=columns, skip_bad=skip_bad)
    first = float(trace.times.min())
    moved = int(np.count_nonzero(trace.times < np.maximum.accumulate(trace.times)))
    if moved:
        order = np.argsort(trace.times, kind="stable")
        service = None if trace.service is None else trace.service[order]
        trace = trace._replace(times=trace.times[order], objects=trace.objects[order], service=service)
    return Timeline(trace._replace(times=trace.times - first), first, moved)


def due_times(workload: WorkloadSettings) -> NDArray[np.float64]:
    """Seconds at which a replay sends: one for each request, or for each `fanout` requests of a client."""
    return timeline(workload).trace.times[:: workload.fanout]


def length(times: NDArray[np.float64]) -> float:
    """How long a trace lasts: until one average gap after its last moment, so that its rate is right."""
    moments = len(np.unique(times))
    return float(times[-1]) * moments / (moments - 1) if moments > 1 else _AT_ONCE_S


def follow(scenario: Scenario) -> Scenario:
    """The scenario with the duration of its trace, if `duration` is not given.

    If all requests of the trace come at one moment, a warm-up that is not given becomes 0.
    """
    if not scenario.follows_trace:
        return scenario
    times = due_times(scenario.workload)
    update = {"duration": length(times)}
    if not times[-1] and scenario.warmup is None:
        update["warmup"] = 0.0
    followed = scenario.model_copy(update=update)
    followed.model_fields_set.difference_update(update)  # nobody has given them
    return followed
