"""Wald's test of one error rate: his approximation, the exact figures, and runs of the test itself."""

from __future__ import annotations

import numpy as np

from policies.canary import Sprt
from policies.canary.sprt import WORSE
from simulator.statistics.sequential import SequentialTest, sequential_test

GOOD, BAD = 0.01, 0.03
_SEED = 1945


def walds_approximation(rate: float, good: float = GOOD, bad: float = BAD, error: float = 0.05) -> float:
    """Answers until the decision, on average, if it fell exactly at a bound (A. Wald 1945).

    Parameters
    ----------
    rate : float
        The true error rate; `good` or `bad`.
    good, bad : float
        The two rates that the test tells apart.
    error : float
        α and β.
    """
    test = Sprt(good, bad, error, error)
    up = error if rate == good else 1.0 - error
    brings = rate * test.step_error + (1.0 - rate) * test.step_success
    return (up * test.upper + (1.0 - up) * test.lower) / brings


def exactly(rate: float, good: float = GOOD, bad: float = BAD, error: float = 0.05) -> SequentialTest:
    """What the test does at an error rate: answers until the decision, and how often it is wrong."""
    test = Sprt(good, bad, error, error)
    return sequential_test(rate, test.step_error, test.step_success, test.upper, test.lower)


def mean_of_runs(rate: float, good: float = GOOD, bad: float = BAD, runs: int = 1000) -> tuple[float, float]:
    """Runs of `policies.canary.Sprt`: answers until the decision, on average, and the share called worse."""
    rng, answers, worse = np.random.default_rng(_SEED), 0, 0
    for _ in range(runs):
        test, verdict = Sprt(good, bad), None
        while verdict is None:
            for failed in (rng.random(100) < rate).tolist():
                test.answered(failed)
                answers += 1
                verdict = test.verdict
                if verdict is not None:
                    break
        worse += verdict == WORSE
    return answers / runs, worse / runs
