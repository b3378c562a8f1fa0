"""A watch rolls a worse canary back, promotes a good one, and counts what it may count."""

from __future__ import annotations

import random
import statistics
from math import exp, log, log1p

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.canary import (
    PROMOTED,
    ROLLED_BACK,
    WATCHING,
    AcceptableErrors,
    CanaryWatch,
    WhoseError,
)
from policies.settings.canary import Canary

STEPS = (0.1, 0.25, 0.5, 1.0)


def rollout(
    watch: CanaryWatch, stable: float, canary: float, rng: random.Random, most: int = 200_000
) -> tuple[str, int]:
    """The state of a watch that has seen requests one by one until it decides, and how many it saw."""
    for number in range(1, most + 1):
        trial = watch.trial
        is_canary = rng.random() < trial.weight
        failed = rng.random() < (canary if is_canary else stable)
        watch.answered(trial, is_canary, failed, 0.0, float(number))
        if watch.state != WATCHING:
            return watch.state, number
    return watch.state, most


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.05, 0.1, 0.5])), max_size=40))
def test_the_evidence_is_the_mean_of_likelihood_ratios(tosses: list[tuple[bool, float]]) -> None:
    ratios = (2.0, 5.0)
    test, products = WhoseError(ratios), [1.0, 1.0]
    for is_canary, weight in tosses:
        test.bad(is_canary, weight)
        for place, ratio in enumerate(ratios):
            share = weight * ratio / (weight * ratio + 1 - weight)
            products[place] *= share / weight if is_canary else (1 - share) / (1 - weight)
    assert test.evidence == pytest.approx(sum(products) / 2)
    assert test.against(5.0) == pytest.approx(products[1])


@given(st.sampled_from([0.01, 0.05, 0.3, 0.7]), st.integers(0, 1000))
def test_one_toss_leaves_the_expected_evidence_as_it_is(weight: float, seed: int) -> None:
    """The martingale: if both arms are alike, no toss raises the evidence on average."""
    start, rng = WhoseError(), random.Random(seed)
    for _ in range(seed % 20):
        start.bad(rng.random() < weight, weight)
    expected = 0.0
    for is_canary, probability in ((True, weight), (False, 1 - weight)):
        after = WhoseError()
        after._log = list(start._log)
        after.bad(is_canary, weight)
        expected += probability * after.evidence
    assert expected == pytest.approx(start.evidence if seed % 20 else 1.0)


def test_a_canary_without_errors_passes_after_332_answers() -> None:
    test = AcceptableErrors(0.01)
    for _ in range(331):
        test.answered(False)
    assert test.evidence < 20
    test.answered(False)
    assert test.evidence >= 20


def rolled_back(rate: float, weight: float, requests: int, rng: random.Random) -> bool:
    """Whether a canary as good as the others is rolled back within so many requests, looked at after each.

    Good answers change nothing without `acceptable` and `latency`, so a geometric draw skips them.
    """
    watch, number = CanaryWatch(Canary(watch="new"), weight), 0
    while watch.state == WATCHING:
        number += 1 + int(log(1.0 - rng.random()) / log1p(-rate))
        if number > requests:
            return False
        watch.answered(watch.trial, rng.random() < weight, True, 0.0, float(number))
    return True


def most_by_chance(trials: int, probability: float, false_alarm: float) -> int:
    """The smallest number that a binomial variable exceeds with less than the probability `false_alarm`."""
    number, below = 0, trials * log1p(-probability)  # the logarithm of P(0)
    left = 1.0 - exp(below)
    while left >= false_alarm:
        number += 1
        below += log((trials - number + 1) / number * probability / (1.0 - probability))
        left -= exp(below)
    return number


FALSE_ALARM = 1e-4


@pytest.mark.parametrize(("rate", "rollouts"), [(0.001, 2_000), (0.01, 500), (0.05, 150)])
def test_false_rollbacks_are_rare_however_often_one_looks(rate: float, rollouts: int) -> None:
    """Over 60,000 requests, looked at after each, at most 5 % of good canaries may be rolled back.

    A binomial test for each error rate: were the probability 0.05, it would fail for one set of seeds in ten
    thousand.
    """
    back = sum(rolled_back(rate, 0.05, 60_000, random.Random(f"{rate}/{n}")) for n in range(rollouts))
    assert 0 < back <= most_by_chance(rollouts, 0.05, FALSE_ALARM)


def test_the_same_binomial_test_finds_a_test_out_that_is_too_eager() -> None:
    """With a limit of 1/0.2 in place of 1/0.05."""
    back = 0
    for seed in range(300):
        test, rng = WhoseError(), random.Random(seed)
        back += any(test.bad(rng.random() < 0.05, 0.05) or test.evidence >= 5.0 for _ in range(600))
    assert back > most_by_chance(300, 0.05, FALSE_ALARM)


# stable and canary error rates, and the median of all requests until the rollback
CAUGHT = [(0.001, 0.021, 2_000), (0.01, 0.03, 5_300), (0.05, 0.07, 21_600)]


@pytest.mark.parametrize(("stable", "canary", "median"), CAUGHT)
def test_two_percent_more_errors_are_caught_after_so_many_requests(
    stable: float, canary: float, median: int
) -> None:
    """Medians of 500 rollouts from fixed seeds. Only bad answers count; one draw skips the others."""
    settings, counts = Canary(watch="new"), []
    rate = 0.05 * canary + 0.95 * stable
    for seed in range(500):
        watch, rng, requests = CanaryWatch(settings, 0.05), random.Random(seed), 0
        while watch.state == WATCHING and requests < 400_000:
            requests += 1 + int(log(1.0 - rng.random()) / log(1.0 - rate))
            watch.answered(watch.trial, rng.random() < 0.05 * canary / rate, True, 0.0, 0.0)
        counts.append(requests)
    assert statistics.median(counts) == pytest.approx(median, rel=0.1)


# stable, canary, acceptable; the shares that are rolled back and promoted, and the median of requests
STAGES = [
    (0.01, 0.01, None, 0.03, 0.97, 6_000),
    (0.01, 0.03, None, 1.0, 0.0, 3_800),
    (0.05, 0.05, None, 0.02, 0.98, 1_300),
    (0.001, 0.001, 0.01, 0.02, 0.98, 7_400),
    (0.0, 0.02, 0.01, 1.0, 0.0, 1_700),
]


@pytest.mark.parametrize(("stable", "canary", "acceptable", "back", "promoted", "median"), STAGES)
def test_a_rollout_in_steps_ends_as_it_should(
    stable: float, canary: float, acceptable: float | None, back: float, promoted: float, median: int
) -> None:
    """300 rollouts each, from fixed seeds: the shares within 0.1, and the median within a quarter."""
    settings = Canary(watch="new", steps=STEPS, acceptable=acceptable)
    ends = [rollout(CanaryWatch(settings, 0.05), stable, canary, random.Random(seed)) for seed in range(300)]
    states = [state for state, _ in ends]
    assert states.count(ROLLED_BACK) / 300 == pytest.approx(back, abs=0.1)
    assert states.count(PROMOTED) / 300 == pytest.approx(promoted, abs=0.1)
    assert statistics.median(requests for _, requests in ends) == pytest.approx(median, rel=0.25)


def test_a_canary_without_errors_beside_stable_arms_without_errors_is_promoted() -> None:
    watch = CanaryWatch(Canary(watch="new", steps=STEPS, acceptable=0.01), 0.05)
    state, requests = rollout(watch, 0.0, 0.0, random.Random(1))
    assert state == PROMOTED
    assert requests == pytest.approx(332 / 0.05, rel=0.2)
    assert [change.weight for change in watch.changes] == list(STEPS)


def test_steps_begin_above_the_weight_that_the_canary_has() -> None:
    watch = CanaryWatch(Canary(watch="new", steps=(0.05, 0.2, 1.0), acceptable=0.5), 0.05)
    rollout(watch, 0.0, 0.0, random.Random(1))
    assert [change.weight for change in watch.changes] == [0.2, 1.0]


def test_a_rollback_is_final() -> None:
    watch = CanaryWatch(Canary(watch="new", steps=(0.5, 1.0), acceptable=0.1), 0.05)
    before = watch.trial
    while watch.state == WATCHING:
        watch.answered(before, True, True, 0.0, 1.0)
    assert (watch.state, watch.trial.weight) == (ROLLED_BACK, 0.0)
    for _ in range(1000):
        assert watch.answered(before, True, False, 0.0, 2.0) is None
    assert (watch.state, watch.trial.weight, len(watch.changes)) == (ROLLED_BACK, 0.0, 1)
    assert "answers of the canary were bad" in watch.changes[0].reason


def test_only_the_first_bad_answer_of_a_user_counts() -> None:
    watch = CanaryWatch(Canary(watch="new"), 0.05)
    for _ in range(100):
        watch.answered(watch.trial, True, True, 0.0, 0.0, user="ann")
    once = watch.evidence
    assert watch.state == WATCHING
    watch.answered(watch.trial, True, True, 0.0, 0.0, user="bob")
    assert watch.evidence > once


def test_memory_of_users_is_bounded() -> None:
    watch = CanaryWatch(Canary(watch="new", users=3), 0.05)
    for number in range(10):
        watch.answered(watch.trial, False, True, 0.0, 0.0, user=str(number))
    assert "3 of 10 answers of the others" not in watch.figures()  # all were bad, three were counted
    assert watch.figures().endswith("and 3 of 10 of the others")


def test_the_warm_up_of_each_arm_counts_for_nothing() -> None:
    watch = CanaryWatch(Canary(watch="new", warm_up=5), 0.05)
    for _ in range(5):
        watch.answered(watch.trial, True, True, 0.0, 0.0)
    assert watch.evidence == 1.0
    watch.answered(watch.trial, True, True, 0.0, 0.0)
    assert watch.evidence > 1.0


def test_an_answer_slower_than_the_limit_is_a_bad_one() -> None:
    watch = CanaryWatch(Canary(watch="new", slow=0.3), 0.05)
    watch.answered(watch.trial, True, False, 0.29, 0.0)
    assert watch.evidence == 1.0
    watch.answered(watch.trial, True, False, 0.31, 0.0)
    assert watch.evidence > 1.0


@pytest.mark.parametrize(("factor", "state"), [(1.0, WATCHING), (2.0, ROLLED_BACK)])
def test_a_slower_canary_is_rolled_back_by_the_others_own_quantiles(factor: float, state: str) -> None:
    """Exponential answers: twice as slow is caught within 5,000 requests; equally slow is not."""
    watch, rng = CanaryWatch(Canary(watch="new", latency=True), 0.05), random.Random(3)
    for _ in range(5_000):
        trial = watch.trial
        is_canary = rng.random() < trial.weight
        elapsed = rng.expovariate(1.0) * (factor if is_canary else 1.0)
        watch.answered(trial, is_canary, False, elapsed, 0.0)
    assert watch.state == state


def test_an_answer_is_judged_by_the_weight_of_its_routing() -> None:
    """An error of a time at which half of the requests went to the canary says less than one at 1 %."""
    few, half = WhoseError(), WhoseError()
    few.bad(True, 0.01)
    half.bad(True, 0.5)
    assert few.evidence > half.evidence
    full = WhoseError()
    full.bad(True, 1.0)
    assert full.evidence == 1.0


def false_rollbacks(test: str, rollouts: int, requests: int) -> int:
    """Of canaries that fail as often as the others, one request in a hundred, those that are rolled back."""
    back = 0
    for seed in range(rollouts):
        watch, rng = CanaryWatch(Canary(watch="new", test=test), 0.05), random.Random(seed)
        for _ in range(requests):
            watch.answered(watch.trial, rng.random() < 0.05, rng.random() < 0.01, 0.0, 0.0)
        back += watch.state == ROLLED_BACK
    return back


def test_a_z_test_that_is_looked_at_every_hundred_answers_rolls_good_canaries_back() -> None:
    """Over 6,000 requests, more often than 5 % of 200 rollouts could by chance; the valid test does not."""
    most = most_by_chance(200, 0.05, FALSE_ALARM)
    assert false_rollbacks("z_test", 200, 6_000) > most >= false_rollbacks("always_valid", 200, 6_000)
