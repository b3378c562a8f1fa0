"""What lesson 8 says, and what the exact figures, the formulas and the simulator compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lessons.canary import (
    BY_COOKIE,
    ROLLED_BACK,
    Rollback,
    canary_runs,
    exactly,
    false_alarms_of_peeking,
    false_rollbacks_of_sticky_users,
    first_guess,
    mean_of_runs,
    simulated_rollbacks,
    users_at_canary,
    walds_approximation,
)
from lessons.canary.exact import ALPHA, MOST_REQUESTS
from lessons.canary.exercise import _drifted
from lessons.canary.figures import HARMS, LOOKS, PEEKED_REQUESTS, STABLE_PERCENT
from lessons.canary.rollouts import ROLLOUTS
from lessons.canary.scenarios import CANARY, REQUESTS, STABLE, USERS, WEIGHT
from policies.canary.whose_error import RATIOS
from policies.settings import Route
from scenarios import Scenario
from simulator import simulate

GUESSED = ((5, 3), (10, 3), (50, 3), (10, 10))


@functools.cache
def run_of(label: str) -> Scenario:
    (found,) = (one.scenario for one in canary_runs().variants if one.label == label)
    return found


def watched() -> Route:
    return run_of(ROLLED_BACK).proxy.route[0]


def weight_percent(label: str) -> float:
    to = run_of(label).proxy.route[0].to
    assert isinstance(to, dict)
    return 100 * to["canary"] / sum(to.values())


def half(weight: float, ratio: float) -> float:
    return Rollback(weight, 0.01, ratio).quantile(0.5)


def own_requests_hardly_depend_on_the_weight() -> bool:
    """From 1 to 50 %, by a factor of three at most, while all requests change by fifteen and more."""
    weights = (0.01, 0.05, 0.1, 0.5)
    everything = [half(weight, 3) for weight in weights]
    own = [weight * requests for weight, requests in zip(weights, everything, strict=True)]
    return max(own) / min(own) < 3 and max(everything) / min(everything) > 15


def first_guess_is_off_by() -> float:
    return max(abs(first_guess(w / 100, 0.01, ratio) / half(w / 100, ratio) - 1) for w, ratio in GUESSED)


def late_ones() -> float:
    """The 95th percentile over the median, in the least skewed row."""
    return min(Rollback(w / 100, 0.01, r).quantile(0.95) / half(w / 100, r) for w, r in GUESSED)


def bad_canary(share: float) -> float:
    """Requests within which the canary of the confirmed run is caught with probability `share`."""
    return Rollback(WEIGHT, STABLE, CANARY / STABLE).quantile(share)


def fixed_size() -> float:
    """Answers of a test of 1 % against 3 % with a fixed number of answers, by exact binomial tails."""
    for answers in range(300, 700):
        for most in range(answers):
            if binomial_above(answers, 0.01, most) <= 0.05:
                if 1 - binomial_above(answers, 0.03, most) <= 0.05:
                    return answers
                break
    return float("nan")


def binomial_above(answers: int, rate: float, most: int) -> float:
    chance = (1 - rate) ** answers
    total = chance
    for number in range(most):
        chance *= (answers - number) / (number + 1) * rate / (1 - rate)
        total += chance
    return 1 - total


def sticky_defaults() -> tuple[float, ...]:
    """Users, requests, error rate, weight, runs."""
    return false_rollbacks_of_sticky_users.__defaults__ or ()


def most_users_at_the_canary() -> bool:
    return users_at_canary(simulate(run_of(BY_COOKIE)).records) > 0.5


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "A canary gets 10 % of the requests, by chance. The stable version fails for 1 % of its requests, the "
    "canary for 10 %.": lambda: [
        weight_percent(ROLLED_BACK), 100 * run_of(ROLLED_BACK).backend["stable"].errors,
        100 * run_of(ROLLED_BACK).backend["canary"].errors,
    ],
    "it must be rolled back with a probability of 5 % at most": lambda: [
        100 * watched().canary.alpha,
    ],
    "10 % of them go to the canary. Sixty users have sent ten requests each": lambda: [
        weight_percent(BY_COOKIE), run_of(BY_COOKIE).workload.users or 0, REQUESTS,
    ],
    "10 %, ten times as many errors: requests until": lambda: [100 * WEIGHT, CANARY / STABLE],
    "fifty simulated rollouts": lambda: [ROLLOUTS],
    "The canary has 5 % of the requests and fails three times as often as the stable version. Half of such "
    "canaries are caught within 5,204 requests. Double its share to 10 %.": lambda: [
        5, 3, 0.5, half(0.05, 3), 2, 10,
    ],
    "Set the harm to ten times as often: 1 % against 10 %.": lambda: [HARMS[1], 1, 1 * HARMS[1]],
    "the stable one 0.2 % instead of 1 %": lambda: [STABLE_PERCENT[0], 1],
    "Set the harm to 1: now": lambda: [HARMS[0]],
    "even after 100,000 requests?": lambda: [MOST_REQUESTS],
    "Double the traffic.": lambda: [2],
    "a z-test at 5 %, again and again": lambda: [100 * ALPHA],
    "of a hundred good canaries, how many does the z-test roll back, if it looks every 100 requests": (
        lambda: [100, LOOKS[0]]
    ),
    "Each look of the z-test may be wrong in one case of forty": lambda: [2 / ALPHA],
    "But in 60,000 requests there are 600 looks.": lambda: [PEEKED_REQUESTS, PEEKED_REQUESTS / LOOKS[0]],
    "It rolls back 30 % of the good canaries.": lambda: [
        100 * false_alarms_of_peeking(100, 0.01, 0.05)[-1],
    ],
    "every 5,000 requests. Fewer false alarms": lambda: [
        LOOKS[1] if false_alarms_of_peeking(5000, 0.01, 0.05)[-1] < false_alarms_of_peeking(
            100, 0.01, 0.05)[-1] else 0,
    ],
    "over six values of $r$": lambda: [len(RATIOS)],
    "And it forgets what the mean over six values of $r$ costs": lambda: [len(RATIOS)],
    "The first guess is off by less than a fifth.": lambda: [(first_guess_is_off_by(), 0.2)],
    "one in twenty lives more than twice as long as the median": lambda: [20, (2, late_ones())],
    "decides between 1 % and 3 % as early as any test can, with 5 % for each of the two errors": lambda: [
        1, 3, 5,
    ],
    "1 %: Wald's approximation": lambda: [1],
    "3 %: Wald's approximation": lambda: [3],
    "1 %: a thousand runs": lambda: [1, mean_of_runs.__defaults__[-1]],
    "3 %: a thousand runs": lambda: [3, mean_of_runs.__defaults__[-1]],
    "1 %: called worse": lambda: [1],
    "The exact means are 297.19 and 230.16 answers. Wald's approximation says 287.5 and 201.3": lambda: [
        exactly(0.01).mean, exactly(0.03).mean, walds_approximation(0.01), walds_approximation(0.03),
    ],
    "because a single error is a large step": lambda: exactly(0.03).mean > 1.1 * walds_approximation(0.03),
    "A test with a fixed number of answers and the same two errors needs 521 of them.": lambda: [
        2, fixed_size(),
    ],
    "both versions fail for 3 %": lambda: [3],
    "Three short runs: a canary that fails ten times as often, and sixty users": lambda: [
        len(canary_runs().variants), CANARY / STABLE, USERS,
    ],
    "a quarter of all such canaries are caught earlier than after 200 requests, and a quarter later than "
    "after 549": lambda: [0.25, bad_canary(0.25), 0.25, bad_canary(0.75)],
    "Sixty users, a weight of 10 %, and yet most of them are at the canary after ten requests.": lambda: [
        USERS, weight_percent(BY_COOKIE), REQUESTS if most_users_at_the_canary() else 0,
    ],
    "A hundred users differ: some have many errors, most have few. Each stays with a version by hash, with "
    "a weight of 5 %": lambda: [
        sticky_defaults()[0], 100 * sticky_defaults()[3],
    ],
    "Counted by request, the test breaks its promise: with a hundred users": lambda: [
        100 if false_rollbacks_of_sticky_users()["every bad answer"] > 2 * ALPHA else 0,
    ],
    "and the promise holds again": lambda: bool(
        false_rollbacks_of_sticky_users()["the first of each user"] <= ALPHA
    ),
    "A canary that is fast, answers 200,": lambda: [200],
    "The canary's *own* requests hardly depend on the weight.": own_requests_hardly_depend_on_the_weight,
    "is wrong far more often than it says": lambda: bool(
        false_alarms_of_peeking(100, 0.01, 0.05)[-1] > 4 * ALPHA
    ),
    "a canary that fails twice as often within 10,000 requests": lambda: [
        2, 10_000 if half(0.5, 2) < 10_000 < half(0.05, 2) else 0,
    ],
    "With a weight of 5 %, 40.1 % of the users are there after 10 requests, and 92.3 % after 50.": lambda: [
        5, 100 * _drifted(0.05, 10), 10, 100 * _drifted(0.05, 50), 50,
    ],
}  # fmt: skip

OTHERS: dict[str, tuple[str, ...]] = {
    "counted in this very text": (
        "**predict** two numbers", "Two mistakes are possible", "only two numbers matter",
    ),
    "a definition": (
        "is a status of 500 or more", "If the canary is worse, the proxy takes", "that seems *worse*",
        "until half of the canaries are caught, by the canary's share",
        "times as often: requests until half are caught", "a number between 0 and 1",
    ),
    "a formula in words": ("A fair game that starts with 1 reaches", "if all draws so far have missed it"),
    "about the world": ("In 1945 Abraham Wald",),
    "a question": ("how much slower must a canary be?",),
    "held by the lesson's confirmation": (
        "they usually roll back at nearly the same moment. (If two requests overtake",
    ),
    "a step of a rollout": ("A rollout has steps: 5 %, 25 %, 50 %.",),
    "held below": ("This takes less than half a minute",),
    "a step of an argument": ("the evidence is on average as large after an answer as before",),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(8, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(8, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(8, REASONS) == []


def test_the_runs_of_the_confirmation_take_less_than_half_a_minute(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(8, "This takes less than half a minute", [((planned_s(8) + 9) / 60, 0.5)])


def test_the_rollouts_of_the_picture_follow_the_exact_line() -> None:
    found = simulated_rollbacks(0.05, 0.01, 3.0)
    assert found.median == pytest.approx(half(0.05, 3), rel=0.5)
