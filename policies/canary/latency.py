"""Is the canary slower? The stable arm's own quantiles say what is slow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from policies.canary.whose_error import WhoseError

QUANTILES = (0.5, 0.9, 0.99)
RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0)


class SlowAnswers:
    """Evidence that a canary is slower than the stable arm, by the same test as for errors.

    An answer is slow if it takes longer than a threshold that was fixed before its request was routed. There
    is one test for each threshold, and the evidence is the mean of all: the median sees that everything is
    slower, the 99th percentile sees a bad tail.

    Parameters
    ----------
    window : int
        The thresholds are quantiles of so many last answers of the stable arm.
    every : int
        New thresholds after so many answers of the stable arm.

    Attributes
    ----------
    thresholds : tuple of float
        Seconds, for each of `QUANTILES`; empty until `every` answers of the stable arm are known.
    """

    def __init__(self, window: int = 1000, every: int = 250) -> None:
        self.thresholds: tuple[float, ...] = ()
        self.tests = tuple(WhoseError(RATIOS) for _ in QUANTILES)
        self._last: deque[float] = deque(maxlen=window)
        self._every, self._new = every, 0

    def slow(self, place: int, is_canary: bool, weight: float) -> None:
        """Take note of an answer that was slower than the threshold at `place`."""
        self.tests[place].bad(is_canary, weight)

    def stable_answered(self, elapsed: float) -> bool:
        """Take note of an answer of the stable arm, in seconds; returns whether the thresholds are new."""
        self._last.append(elapsed)
        self._new += 1
        if self._new < self._every:
            return False
        self._new = 0
        self.thresholds = quantiles(sorted(self._last))
        return True

    @property
    def evidence(self) -> float:
        """The mean of the evidence of all thresholds; at 1/α or above, the canary is slower."""
        return sum(test.evidence for test in self.tests) / len(self.tests)


def quantiles(ordered: Sequence[float]) -> tuple[float, ...]:
    """The values of an ordered sample below which the shares `QUANTILES` of it lie."""
    return tuple(ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in QUANTILES)
