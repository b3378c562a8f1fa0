"""The calls between backends in a run: one row per call, as its caller saw it, and figures by service."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class CallFigures(NamedTuple):
    """The figures of the calls to one service at one depth.

    Attributes
    ----------
    rps : float
        Calls that ended per second.
    mean_ms, p99_ms : float or None
        From sending a call to its response, with both sidecars, queues and retries; ``None`` without calls.
    error_ratio : float or None
        Share with a status of 500 or more.
    calls : float
        Number of calls; their average over several runs.
    """

    rps: float
    mean_ms: float | None
    p99_ms: float | None
    error_ratio: float | None
    calls: float


@dataclass(frozen=True)
class CallRecords:
    """All calls of a run, in columns of equal length.

    Attributes
    ----------
    service, depth, status : ndarray of int
        Which of `services` was asked; how many calls led there, at least 1; the HTTP status.
    begin, end : ndarray of float
        Seconds since the start of the run.
    services : tuple of str
        Names of the backends.
    """

    service: NDArray[np.int64]
    depth: NDArray[np.int64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    status: NDArray[np.int64]
    services: tuple[str, ...]

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[float]], services: Sequence[str]) -> CallRecords:
        """Records from rows of ``service, depth, begin, end, status``; the service is a number."""
        columns = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 5)
        return cls.from_columns(columns, services)

    @classmethod
    def from_columns(cls, columns: NDArray[np.float64], services: Sequence[str]) -> CallRecords:
        """Records from the columns of `from_rows`."""
        ordered = columns[np.argsort(columns[:, 2], kind="stable")]
        whole = ordered.astype(np.int64)
        return cls(whole[:, 0], whole[:, 1], ordered[:, 2], ordered[:, 3], whole[:, 4], tuple(services))

    def __len__(self) -> int:
        return len(self.begin)

    def figures(self, window: tuple[float, float]) -> dict[str, CallFigures]:
        """The figures of the calls that began in `window`, by service and depth, such as ``store@2``."""
        found = {}
        pairs = sorted(set(zip(self.depth.tolist(), self.service.tolist(), strict=True)))
        for depth, service in pairs:
            own = (self.service == service) & (self.depth == depth)
            ended = own & (self.end >= window[0]) & (self.end < window[1])
            rows = own & (self.begin >= window[0]) & (self.begin < window[1])
            ms, known = (self.end - self.begin)[rows] * 1e3, bool(rows.any())
            found[f"{self.services[service]}@{depth}"] = CallFigures(
                float(np.count_nonzero(ended)) / (window[1] - window[0]),
                float(ms.mean()) if known else None,
                float(np.percentile(ms, 99)) if known else None,
                float((self.status[rows] >= 500).mean()) if known else None,
                float(np.count_nonzero(rows)),
            )
        return found


class CallLog:
    """Collects calls as they end, in 40 bytes each.

    Parameters
    ----------
    services : sequence of str
        Names of the backends.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = tuple(services)
        self._rows = array("d")

    def note(self, service: int, depth: int, begin: float, end: float, status: int) -> None:
        """Add a call."""
        self._rows.extend((service, depth, begin, end, status))

    def records(self) -> CallRecords:
        """All calls so far."""
        return CallRecords.from_columns(np.array(self._rows).reshape(-1, 5), self._services)


def mean_by_call(runs: Sequence[dict[str, CallFigures]]) -> dict[str, CallFigures]:
    """The averages of several runs, over the runs in which the figure is known."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: CallFigures(
            sum(run[name].rps for run in runs if name in run) / len(runs),
            *(
                _mean([getattr(run[name], figure) for run in runs if name in run])
                for figure in ("mean_ms", "p99_ms", "error_ratio")
            ),
            sum(run[name].calls for run in runs if name in run) / len(runs),
        )
        for name in names
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
