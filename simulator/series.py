"""How many requests waited or were in service at each place, over simulated time."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """How many requests were in a place: `values[i]` from `times[i]` seconds on."""

    times: NDArray[np.float64]
    values: NDArray[np.int64]

    @classmethod
    def from_steps(cls, steps: array[float]) -> Series:
        """From what the model wrote, see `simulator.slots.StepSeries`."""
        signed = np.array(steps)
        change = np.where(np.signbit(signed), -1, 1)
        return cls(np.concatenate(([0.0], np.abs(signed))), np.concatenate(([0], np.cumsum(change))))

    def mean(self, window: tuple[float, float]) -> float:
        """Average over time, within `window` (seconds)."""
        inside = (self.times > window[0]) & (self.times < window[1])
        first = self.values[np.searchsorted(self.times, window[0], side="right") - 1]
        values = np.concatenate(([first], self.values[inside]))
        edges = np.concatenate(([window[0]], self.times[inside], [window[1]]))
        return float(np.dot(values, np.diff(edges)) / (window[1] - window[0]))

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """The number at each of `times`, in seconds from 0 on."""
        return self.values[np.searchsorted(self.times, times, side="right") - 1].astype(np.float64)


class Queues(Mapping[str, Series]):
    """A `Series` of each place by name, made when it is asked for: most are never looked at."""

    def __init__(self, steps: dict[str, array[float]]) -> None:
        self._steps = steps

    def __getitem__(self, name: str) -> Series:
        return Series.from_steps(self._steps[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)
