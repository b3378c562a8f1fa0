"""Lesson 8, canary: exact figures against the classes, sliders over their whole range, and the exercise."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from math import isinf, isnan
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lessons.canary import (
    BY_COOKIE,
    BY_HASH,
    ROLLED_BACK,
    Rollback,
    canary_runs,
    exact,
    exactly,
    explore_peeking,
    explore_rollback,
    false_alarms_of_peeking,
    false_rollbacks_of_sticky_users,
    figures,
    first_guess,
    mean_of_runs,
    requests_until_rollback,
    rollouts,
    simulated_rollbacks,
    users_at_canary,
    walds_approximation,
)
from lessons.canary.exercise import _CASES, _drifted, _examine, _mistake
from lessons.canary.scenarios import REQUESTS, WEIGHT
from lessons.kit import Exercise
from lessons.kit.display import png
from policies.canary import WhoseError
from policies.canary.z_test import PeekedZTest
from scenarios.schema import check_real
from simulator import simulate

DRAWINGS: dict[str, tuple[Callable[..., Figure], tuple[tuple[float, float, float], ...], tuple[int, int]]] = {
    "rollback": (
        lambda weight, stable, harm, traffic: figures.figure_of_rollback(
            weight / 100, stable / 100, harm, traffic
        ),
        (figures.WEIGHTS_PERCENT, figures.STABLE_PERCENT, figures.HARMS, figures.TRAFFIC_RPS),
        (363, 1100),
    ),
    "peeking": (
        lambda every, rate, weight: figures.figure_of_peeking(every, rate / 100, weight / 100),
        (figures.LOOKS, figures.STABLE_PERCENT, figures.WEIGHTS_PERCENT),
        (363, 880),
    ),
}
CORNERS = [
    (name, corner)
    for name, (_, spans, _) in DRAWINGS.items()
    for corner in itertools.product(*(span[:2] for span in spans))
]
REMEMBERED = (
    exact.bad_answers_until_rollback, rollouts.simulated_rollbacks, rollouts.false_alarms_of_peeking,
)  # fmt: skip


@given(
    weight=st.sampled_from([0.01, 0.05, 0.1, 0.5, 0.9]),
    whose=st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_the_limits_roll_back_exactly_when_the_class_does(weight: float, whose: list[bool]) -> None:
    limits, test = list(itertools.islice(exact.rollback_limits(weight), 60)), WhoseError()
    for bad, is_canary in enumerate(whose, 1):
        test.bad(is_canary, weight)
        assert (test.evidence >= 1 / exact.ALPHA) == (sum(whose[:bad]) >= limits[bad - 1])


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.5])
def test_the_limits_rise_by_one_at_most(weight: float) -> None:
    limits = list(itertools.islice(exact.rollback_limits(weight), 400))
    assert set(np.diff(limits)) <= {0, 1}


@pytest.mark.parametrize(("weight", "ratio"), [(0.05, 3.0), (0.1, 10.0), (0.5, 2.0)])
def test_the_exact_figures_are_those_of_many_runs(weight: float, ratio: float) -> None:
    """2,000 runs: a share is within 4.5 standard errors, which happens by chance once in 150,000 times."""
    found = simulated_rollbacks(weight, 0.01, ratio, runs=2000)
    for share in (0.1, 0.5, 0.9):
        requests = int(Rollback(weight, 0.01, ratio).quantile(share))
        if requests < found.followed:
            seen = np.mean(found.requests <= requests)
            assert seen == pytest.approx(share, abs=4.5 * (share * (1 - share) / 2000) ** 0.5 + 0.005)


@pytest.mark.parametrize("stable", [0.001, 0.01, 0.05])
def test_a_good_canary_is_rolled_back_with_the_promised_probability_at_most(stable: float) -> None:
    alarms = Rollback(0.05, stable, 1.0).within(np.array([1000, 20_000, 100_000]))
    assert 0 < alarms[0] < alarms[1] < alarms[2] < exact.ALPHA


@pytest.mark.parametrize(
    ("stable", "harm", "requests"), [(0.001, 21, 2000), (0.01, 3, 5300), (0.05, 1.4, 21_600)]
)
def test_two_more_errors_in_a_hundred_are_caught_within_the_published_number_of_requests(
    stable: float, harm: float, requests: int
) -> None:
    """The median, at 5 % of the requests; the published figures were looked at every hundred requests."""
    assert Rollback(0.05, stable, harm).quantile(0.5) == pytest.approx(requests, rel=0.1)


def test_without_enough_requests_nobody_is_caught() -> None:
    assert Rollback(0.05, 0.01, 3.0).within(np.array([1, 2]))[0] < 1e-3
    assert isnan(Rollback(0.01, 0.002, 1.0).quantile(0.5))
    assert isinf(first_guess(0.05, 0.01, 1.0))
    assert isinf(simulated_rollbacks(0.05, 0.01, 1.0).median)


def test_quantiles_are_where_the_share_is_reached() -> None:
    rollback = Rollback(0.1, 0.01, 10.0)
    half = int(rollback.quantile(0.5))
    before, there = rollback.within(np.array([half - 1, half]))
    assert before < 0.5 <= there


def test_walds_test_is_that_of_the_exact_figures() -> None:
    assert (exactly(0.01).mean, exactly(0.03).mean) == pytest.approx((297.19, 230.16), abs=0.005)
    assert walds_approximation(0.01) == pytest.approx(287.5, abs=0.05)
    assert walds_approximation(0.03) == pytest.approx(201.3, abs=0.05)
    answers, worse = mean_of_runs(0.03, runs=400)
    assert answers == pytest.approx(exactly(0.03).mean, rel=0.15)
    assert worse == pytest.approx(exactly(0.03).upper, abs=0.05)


def test_many_z_tests_at_once_say_what_the_class_says() -> None:
    rng, test = np.random.default_rng(5), PeekedZTest(0.05, 100)
    whose, bad = rng.random(3000) < 0.2, rng.random(3000) < 0.05
    for is_canary, failed in zip(whose.tolist(), bad.tolist(), strict=True):
        test.answered(is_canary, failed)
    counts = [np.array([np.count_nonzero(rows)]) for rows in (~whose, whose, ~whose & bad, whose & bad)]
    assert rollouts.z_scores(*counts)[0] == pytest.approx(test.z)
    none = np.array([0])
    assert rollouts.z_scores(np.array([10]), none, none, none)[0] == 0.0


def test_peeking_breaks_a_promise_that_a_single_look_keeps() -> None:
    often = false_alarms_of_peeking(100, 0.01, 0.05)
    assert often[-1] > 0.2 > exact.ALPHA and (np.diff(often) >= 0).all()
    once = false_alarms_of_peeking(20_000, 0.05, 0.5, requests=20_000)
    assert once[0] == pytest.approx(0.025, abs=0.02)


def test_the_documents_say_how_often_a_z_test_that_peeks_is_wrong() -> None:
    """1,000 runs: the share is known within six points, four standard errors."""
    assert false_alarms_of_peeking(100, 0.01, 0.05, requests=60_000)[-1] == pytest.approx(0.3, abs=0.06)
    said = (Path(__file__).parents[2] / "docs" / "canary.md").read_text(encoding="utf-8")
    assert "rolls a good canary back in three cases of ten within 60,000 answers" in " ".join(said.split())


def test_users_who_stay_must_be_counted_once() -> None:
    alarms = false_rollbacks_of_sticky_users()
    assert alarms["the first of each user"] <= exact.ALPHA < 0.1 < alarms["every bad answer"]


@pytest.mark.parametrize(("name", "corner"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    name: str, corner: tuple[float, ...], in_a_second: Callable[[Callable[[], bytes]], bytes]
) -> None:
    draw, _, size = DRAWINGS[name]

    def answer() -> bytes:
        for function in REMEMBERED:
            function.cache_clear()
        return png(draw(*corner))

    assert matplotlib.image.imread(io.BytesIO(in_a_second(answer))).shape[:2] == size


@pytest.mark.parametrize("name", DRAWINGS)
def test_axes_stand_still_and_say_what_they_show(name: str) -> None:
    draw, spans, _ = DRAWINGS[name]
    corners = [draw(*(span[place] for span in spans)).axes for place in (0, 1)]
    for low, high in zip(*corners, strict=True):
        assert (low.get_xlim(), low.get_ylim()) == (high.get_xlim(), high.get_ylim())
        assert low.get_xlabel() and low.get_ylabel() and low.get_title()


def test_a_slider_changes_the_picture_and_what_is_said() -> None:
    explorer = explore_rollback(5, 1.0, 3.0, 300)
    before, said = explorer.picture.data, explorer._note.value
    assert said.startswith("Half of the canaries are caught within 5,")
    explorer.weight.value = 10
    assert explorer.picture.data == png(figures.figure_of_rollback(0.1, 0.01, 3.0, 300)) != before
    explorer.traffic.value = 600
    assert explorer.picture.data == png(figures.figure_of_rollback(0.1, 0.01, 3.0, 600))
    explorer.harm.value = 1.0
    assert explorer._note.value.startswith("Fewer than half")
    peeking = explore_peeking()
    before, said = peeking.picture.data, peeking._note.value
    peeking.every.value = 5000
    assert peeking.picture.data == png(figures.figure_of_peeking(5000, 0.01, 0.05)) != before
    assert peeking._note.value != said and "by the z-test" in said


def test_the_runs_of_the_lesson_can_be_measured_and_show_what_it_says() -> None:
    runs = {variant.label: variant.scenario for variant in canary_runs().variants}
    assert list(runs) == [ROLLED_BACK, BY_HASH, BY_COOKIE]
    for scenario in runs.values():
        check_real(scenario, "the lesson")
    bad = simulate(runs[ROLLED_BACK]).runs[0]
    requests = requests_until_rollback(bad.summary)
    assert requests is not None and bad.summary.rollback_s is not None
    assert requests == pytest.approx(np.count_nonzero(bad.records.sent <= bad.summary.rollback_s), rel=0.1)
    low, high = (Rollback(WEIGHT, 0.01, 10.0).quantile(share) for share in (0.25, 0.75))
    assert low < requests < high
    by_hash, by_cookie = (simulate(runs[label]).runs[0] for label in (BY_HASH, BY_COOKIE))
    assert requests_until_rollback(by_hash.summary) is None
    assert users_at_canary(by_hash.records) == pytest.approx(WEIGHT, abs=0.12)
    # Sixty users: within four standard errors.
    expected = _drifted(WEIGHT, REQUESTS)
    assert users_at_canary(by_cookie.records) == pytest.approx(expected, abs=4 * (0.24 / 60) ** 0.5)


def test_the_requests_until_a_rollback_are_those_of_one_run() -> None:
    twice = simulate(canary_runs().variants[0].scenario.model_copy(update={"duration": 6.0}), 2)
    each = [requests_until_rollback(run.summary) for run in twice.runs]
    assert requests_until_rollback(twice.summary) == pytest.approx(np.mean(each), rel=0.05)


@given(weight=st.floats(0.001, 0.999), requests=st.integers(1, 100))
def test_a_drifting_cookie_only_adds_users(weight: float, requests: int) -> None:
    assert weight * 0.999 <= _drifted(weight, requests) <= _drifted(weight, requests + 1) <= 1


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        (0.05, "after one request"),
        (0.05 * 50, "do not add up"),
        (0.95**50, "have *not* met"),
        (0.05 * 0.95**49, "exactly the last request"),
        (1 - 0.95**49, "before the last request"),
        (100 * (1 - 0.95**50), "a percentage"),
        (7.5, "between 0 and 1"),
        (1 - 0.95**3, "3 draws, not 50"),
        (1.0, "never quite reaches 1"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(given: float, finding: str) -> None:
    assert finding in _mistake(given, 0.05, 50)


def test_the_chance_of_all_draws_is_not_that_of_one() -> None:
    assert "*every* draw" in _mistake(0.1**3, 0.1, 3)


@pytest.mark.parametrize("case", _CASES)
def test_the_solution_is_right_and_a_constant_is_not(case: tuple[float, int]) -> None:
    exercise = Exercise(_examine, ["a", "b", "c"], "why")
    assert exercise.check(lambda weight, requests: 1 - (1 - weight) ** requests).right is True
    value = _drifted(*case)
    assert exercise.check(lambda weight, requests: value * (weight > 0) * (requests > 0)).right is False
