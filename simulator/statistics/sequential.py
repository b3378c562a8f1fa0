"""Exact properties of a sequential probability ratio test, by dynamic programming instead of chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NEGLIGIBLE = 1e-13
"""Probability that is left when the recursion ends."""


@dataclass(frozen=True)
class SequentialTest:
    """What a sequential test of Bernoulli trials does at one true rate.

    Attributes
    ----------
    mean : float
        Trials until the decision, on average.
    upper, lower : float
        Probabilities to leave by the upper and by the lower bound.
    trials : ndarray of float
        Probability that the decision falls after trial 1, 2, ….
    """

    mean: float
    upper: float
    lower: float
    trials: np.ndarray

    def quantile(self, share: float) -> int:
        """The number of trials after which a decision has fallen with probability `share`."""
        return int(np.searchsorted(np.cumsum(self.trials), share)) + 1


def sequential_test(
    rate: float, up: float, down: float, upper: float, lower: float, most: int = 10_000_000
) -> SequentialTest:
    """The exact behaviour of a walk that starts at 0 and stops at the first bound it reaches.

    Parameters
    ----------
    rate : float
        Probability of a step up in each trial.
    up, down : float
        The steps; ``up > 0 > down``.
    upper, lower : float
        The bounds; ``upper > 0 > lower``.
    most : int
        Trials after which the recursion ends in any case.

    Raises
    ------
    ValueError
        If a step or a bound has the wrong sign.

    Notes
    -----
    After n trials the walk's place depends only on the number of steps up, so the state is one vector of
    probabilities over that number. Only the numbers between the bounds are kept.
    """
    if not (up > 0.0 > down and upper > 0.0 > lower):
        raise ValueError("expected up > 0 > down and upper > 0 > lower")
    first, state = 0, np.ones(1)  # the probabilities of `first`, `first` + 1, … steps up
    trials: list[float] = []
    won = lost = mean = 0.0
    for number in range(1, most + 1):
        grown = np.zeros(len(state) + 1)
        grown[:-1] = state * (1.0 - rate)
        grown[1:] += state * rate
        ups = first + np.arange(len(grown))
        place = ups * up + (number - ups) * down
        above, below = place >= upper, place <= lower
        now_won, now_lost = float(grown[above].sum()), float(grown[below].sum())
        won, lost, mean = won + now_won, lost + now_lost, mean + number * (now_won + now_lost)
        trials.append(now_won + now_lost)
        inside = np.flatnonzero(~(above | below))
        if not len(inside):
            break
        first, state = int(ups[inside[0]]), grown[inside[0] : inside[-1] + 1]
        if state.sum() < _NEGLIGIBLE:
            break
    return SequentialTest(mean, won, lost, np.array(trials))
