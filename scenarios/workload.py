"""The requests of every user, drawn from the scenario's seed: the same for both twins.

Each user has its own random streams, one for each quantity, so that a change of one quantity, or
of how many requests another user sends, leaves all others as they were (common random numbers).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.problems import BadInput
from scenarios.schema import Scenario

_BLOCK = 128
_OBJECTS_KEY = 2**31
"""Stream of the objects' sizes; users have smaller numbers."""


class Request(NamedTuple):
    """One request before it is sent.

    Attributes
    ----------
    pause : float
        Seconds since this stream's last answer (closed) or last arrival (open, trace).
    object : int
        Number of the object that is asked for.
    size : int
        Bytes of its body.
    demand : tuple of float
        Seconds of work that it asks of each backend, in the order of the scenario's file.
    """

    pause: float
    object: int
    size: int
    demand: tuple[float, ...]


class Workload:
    """What a scenario's clients ask for.

    Parameters
    ----------
    scenario : Scenario
        Its workload, seed and the service times of its backends.

    Attributes
    ----------
    closed : bool
        Whether a stream's pause counts from its last answer.
    streams : int
        Independent streams of requests: one per closed user, one in all for open load.
    sizes : ndarray of int64
        Bytes of each object, by number.

    Raises
    ------
    BadInput
        If the trace cannot be read.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._settings = scenario.workload
        self._seed = scenario.seed
        self._service = [backend.service_time for backend in scenario.backend.values()]
        self.closed = self._settings.users is not None
        self.streams = self._settings.users or 1
        self._trace = None if self._settings.trace is None else read_trace(self._settings.trace)
        if self._trace is not None:
            self.sizes = self._trace.sizes
            return
        rng = self._rng(_OBJECTS_KEY, 1)[0]
        drawn = np.rint(self._settings.size.sample(rng, self._settings.objects))
        self.sizes = np.maximum(drawn, 0).astype(np.int64)
        self._popularity = np.cumsum(self._settings.popularity.probabilities(self._settings.objects))
        self._popularity[-1] = 1.0

    def stream(self, number: int) -> Iterator[Request]:
        """The requests of one stream, without end unless a trace ends.

        Parameters
        ----------
        number : int
            From 0 to `streams` - 1.
        """
        return self._drawn(number) if self._trace is None else self._replayed(self._trace)

    def _drawn(self, number: int) -> Iterator[Request]:
        pauses, objects, *demands = self._rng(number, 2 + len(self._service))
        sizes = self.sizes
        while True:
            asked = np.searchsorted(self._popularity, objects.random(_BLOCK), side="right")
            works = (
                dist.sample(rng, _BLOCK).tolist() for dist, rng in zip(self._service, demands, strict=True)
            )
            yield from map(
                Request,
                self._pauses(pauses).tolist(),
                asked.tolist(),
                sizes[asked].tolist(),
                zip(*works, strict=True),
            )

    def _pauses(self, rng: np.random.Generator) -> NDArray[np.float64]:
        if self._settings.rate is not None:
            return rng.exponential(1.0 / self._settings.rate, _BLOCK)
        return self._settings.think.sample(rng, _BLOCK)

    def _replayed(self, trace: Trace) -> Iterator[Request]:
        demands = self._rng(0, 2 + len(self._service))[2:]
        last = 0.0
        for start in range(0, len(trace.times), _BLOCK):
            rows = slice(start, start + _BLOCK)
            times = trace.times[rows].tolist()
            drawn = [
                d.sample(rng, len(times)).tolist() for d, rng in zip(self._service, demands, strict=True)
            ]
            if trace.service is not None:
                drawn = [trace.service[rows].tolist()] * len(self._service)
            asked = trace.objects[rows].tolist()
            for time, number, demand in zip(times, asked, zip(*drawn, strict=True), strict=True):
                yield Request(time - last, number, int(self.sizes[number]), demand)
                last = time

    def _rng(self, number: int, count: int) -> list[np.random.Generator]:
        seeds = np.random.SeedSequence(self._seed, spawn_key=(number,)).spawn(count)
        return [np.random.default_rng(seed) for seed in seeds]


class Trace(NamedTuple):
    """A recorded workload: `times` in seconds, `objects` by number, one of `sizes` per object."""

    times: NDArray[np.float64]
    objects: NDArray[np.int64]
    sizes: NDArray[np.int64]
    service: NDArray[np.float64] | None


def read_trace(path: str | Path) -> Trace:
    """A trace from a CSV file.

    Parameters
    ----------
    path : str or path
        The first line names the columns: ``time_s,object,size_bytes`` and perhaps ``service_s``.
        Times must not fall; an object keeps the size it had first.

    Raises
    ------
    BadInput
        With the number of the line that is wrong.
    """
    times: list[float] = []
    objects: list[int] = []
    service: list[float] = []
    numbers: dict[str, int] = {}
    sizes: list[int] = []
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"time_s", "object", "size_bytes"} - set(reader.fieldnames or ())
            if missing:
                raise BadInput(str(path), "line 1", f"the column {min(missing)!r} is missing")
            timed = "service_s" in (reader.fieldnames or ())
            for row in reader:
                time, size, work = _read_row(
                    row, timed, times[-1] if times else 0.0, str(path), reader.line_num
                )
                number = numbers.setdefault(row["object"], len(numbers))
                if number == len(sizes):
                    sizes.append(size)
                times.append(time)
                objects.append(number)
                service.append(work)
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(str(path), "", f"is not CSV text: {error}") from None
    if not times:
        raise BadInput(str(path), "", "the trace holds no requests")
    return Trace(np.array(times), np.array(objects), np.array(sizes), np.array(service) if timed else None)


def _read_row(
    row: dict[str, str], timed: bool, last: float, path: str, line: int
) -> tuple[float, int, float]:
    try:
        time, size = float(row["time_s"]), int(row["size_bytes"])
        work = float(row["service_s"]) if timed else 0.0
    except (TypeError, ValueError):
        columns = "time_s, size_bytes and service_s" if timed else "time_s and size_bytes"
        raise BadInput(path, f"line {line}", f"expected numbers for {columns}") from None
    if not row["object"]:
        raise BadInput(path, f"line {line}", "expected a name for object")
    if not (math.isfinite(time) and math.isfinite(work)) or size < 0 or work < 0:
        raise BadInput(path, f"line {line}", "expected finite numbers that are not negative")
    if time < last:
        raise BadInput(path, f"line {line}", f"times must not fall, yet {time:g} comes after {last:g}")
    return time, size, work
