"""The canary's tests do what exact recursion says: without chance, so these checks cannot flake."""

from __future__ import annotations

from math import log

import pytest

from policies.canary import Sprt, canary_share
from simulator.statistics.sequential import sequential_test

# good, bad; then for each of them: mean trials, probability of the wrong decision, median
WALD = [
    (0.01, 0.03, (297.19, 0.03465, 254), (230.16, 0.05024, 177)),
    (0.01, 0.02, (867.97, 0.03963, 706), (736.32, 0.05028, 581)),
    (0.005, 0.025, (228.26, 0.02914, 165), (158.29, 0.05028, 130)),
    (0.02, 0.04, (427.63, 0.03956, 351), (363.75, 0.05002, 288)),
    (0.001, 0.021, (165.66, 0.01670, 146), (91.41, 0.05128, 77)),
]


@pytest.mark.parametrize(("good", "bad", "if_good", "if_bad"), WALD)
def test_walds_test_takes_so_many_trials(
    good: float, bad: float, if_good: tuple[float, float, int], if_bad: tuple[float, float, int]
) -> None:
    sprt = Sprt(good, bad)
    steps = sprt.step_error, sprt.step_success, sprt.upper, sprt.lower
    null, worse = sequential_test(good, *steps), sequential_test(bad, *steps)
    assert (null.mean, null.upper) == pytest.approx(if_good[:2], rel=2e-4)
    assert (worse.mean, worse.lower) == pytest.approx(if_bad[:2], rel=2e-4)
    assert (null.quantile(0.5), worse.quantile(0.5)) == (if_good[2], if_bad[2])
    assert null.upper + null.lower == pytest.approx(1.0)


# weight, stable and canary error rates; all requests if alike, false rollbacks; all requests if worse, missed
WHOSE_ERROR = [
    (0.05, 0.01, 0.03, 6848, 0.0353, 5034, 0.0487),
    (0.05, 0.01, 0.02, 19269, 0.0400, 15905, 0.0493),
    (0.05, 0.001, 0.021, 6090, 0.0178, 2160, 0.0322),
    (0.10, 0.01, 0.03, 3931, 0.0371, 2706, 0.0442),
    (0.20, 0.01, 0.03, 2473, 0.0373, 1592, 0.0425),
    (0.50, 0.01, 0.03, 2081, 0.0428, 1102, 0.0372),
    (0.01, 0.01, 0.03, 31058, 0.0349, 23683, 0.0502),
]


@pytest.mark.parametrize(("weight", "good", "bad", "alike", "false", "worse", "missed"), WHOSE_ERROR)
def test_whose_error_takes_so_many_requests(
    weight: float, good: float, bad: float, alike: int, false: float, worse: int, missed: float
) -> None:
    share, bound = canary_share(weight, bad / good), log(19)
    steps = log(share / weight), log((1 - share) / (1 - weight)), bound, -bound
    null, harm = sequential_test(weight, *steps), sequential_test(share, *steps)
    # Wald's identity: the errors arrive at the mean error rate of both arms.
    assert null.mean / good == pytest.approx(alike, rel=2e-3)
    assert harm.mean / (weight * bad + (1 - weight) * good) == pytest.approx(worse, rel=2e-3)
    assert null.upper == pytest.approx(false, abs=6e-5)
    assert harm.lower == pytest.approx(missed, abs=6e-5)


def test_a_walk_of_equal_steps_is_the_gamblers_ruin() -> None:
    found = sequential_test(0.5, 1.0, -1.0, 3.0, -7.0)
    assert (found.upper, found.mean) == pytest.approx((0.7, 21.0))


@pytest.mark.parametrize("wrong", [(-1.0, -1.0, 1.0, -1.0), (1.0, 1.0, 1.0, -1.0), (1.0, -1.0, -1.0, -1.0)])
def test_a_walk_without_two_bounds_is_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected up > 0"):
        sequential_test(0.5, *wrong)
