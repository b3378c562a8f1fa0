"""Lesson 2, load balancing: its formulas, simulations, figures, sliders and exercise."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from lessons.balancing import (
    POOL_BALANCERS,
    ServerPool,
    by_age,
    explore_pool,
    figure_of_age,
    figure_of_pool,
    least_moved,
    mean_of_choices,
    mean_of_random,
    mean_of_random_with_equal_work,
    mean_of_round_robin,
    one_more_server,
    simulate_pool,
)
from lessons.balancing.exercise import _CASES, _least_moved
from lessons.balancing.explorer import LOADS, SLOW, SNAPSHOT_INTERVALS
from lessons.balancing.formulas import at_least
from lessons.balancing.server_pool import MOST_REQUESTS, WORKS, _simulated, _time_with
from lessons.kit import Exercise, simulated
from lessons.kit.display import png
from simulator.series import Series

CORNERS = [
    (LOADS[1], snapshot_interval, slow, work)
    for snapshot_interval, slow, work in itertools.product(SNAPSHOT_INTERVALS[:2], SLOW[:2], WORKS)
]


def test_the_formulas_have_their_known_values() -> None:
    assert mean_of_random(0.9) == pytest.approx(10)
    assert mean_of_random_with_equal_work(0.8) == pytest.approx(3)
    assert mean_of_round_robin(0.8, 4) == pytest.approx(3.2674, abs=1e-4)
    assert mean_of_round_robin(0.8, 10) == pytest.approx(2.9223, abs=1e-4)
    assert mean_of_choices(0.8, 2) == pytest.approx(1.9474, abs=1e-4)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_one_choice_is_chance_and_one_server_in_turn_too(load: float) -> None:
    assert mean_of_choices(load, 1) == pytest.approx(mean_of_random(load))
    assert mean_of_round_robin(load, 1) == pytest.approx(mean_of_random(load))
    assert [at_least(0, load, d) for d in (1, 2, 3)] == [1, 1, 1]
    assert [at_least(1, load, d) for d in (1, 2, 3)] == pytest.approx([load] * 3)


@pytest.mark.parametrize(("load", "snapshot_interval", "slow", "work"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    load: float,
    snapshot_interval: float,
    slow: float,
    work: str,
    in_a_second: Callable[[Callable[[], bytes]], bytes],
) -> None:
    def answer() -> bytes:
        _simulated.cache_clear()
        return png(figure_of_pool(simulate_pool(ServerPool(load, snapshot_interval, slow, work)), "p2c"))

    data = in_a_second(answer)
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (374, 1155)


def test_what_the_lesson_says_of_the_sliders_is_so() -> None:
    fresh, old = simulate_pool(ServerPool(0.9)), simulate_pool(ServerPool(0.9, snapshot_interval=5))
    assert fresh["random"].mean > 2.5 * fresh["p2c"].mean
    assert old["least_requests"].mean > old["random"].mean > 1.5 * old["p2c"].mean
    slow = simulate_pool(ServerPool(0.75, slow=3))
    assert [name for name in POOL_BALANCERS if not slow[name].settles] == ["random", "round_robin"]
    equal = simulate_pool(ServerPool(0.9, work="equal"))
    assert min(equal, key=lambda name: equal[name].mean) == "round_robin"


def test_queues_are_counted_by_the_time_that_servers_have_so_many() -> None:
    queue = Series(np.array([0.0, 1.0, 4.0, 6.0]), np.array([0, 2, 50, 1]))
    found = _time_with(queue, (0.5, 10.0))
    assert found[[0, 1, 2, MOST_REQUESTS + 1]].tolist() == [0.5, 4.0, 3.0, 2.0]
    assert found.sum() == 9.5


def test_an_average_server_is_busy_as_the_load_says() -> None:
    seen = simulate_pool(ServerPool(0.6), ["random"], duration_s=60)["random"].at_least
    assert seen[0] == pytest.approx(1)
    assert seen[1] == pytest.approx(0.6, abs=0.03)
    assert (np.diff(seen) <= 0).all()


def test_the_picture_has_the_formulas_only_where_they_are_asked_for() -> None:
    results = simulate_pool(ServerPool(0.5))
    for load, lines in ((None, 4), (0.5, 6)):
        times, queues = figure_of_pool(results, "random", load).axes
        assert len(queues.get_lines()) == lines
        assert [label.get_text() for label in times.get_yticklabels()] == list(POOL_BALANCERS)
        assert times.get_xlabel() and queues.get_xlabel()


def test_an_overload_is_said_in_the_picture_instead_of_its_mean() -> None:
    times, _ = figure_of_pool(simulate_pool(ServerPool(0.75, slow=3)), "p2c").axes
    said = [text.get_text() for text in times.texts]
    assert said.count("never settles") == 2


def test_chance_does_not_age() -> None:
    means = by_age(ServerPool(0.7), [0, 5], ["random", "least_requests"], duration_s=10)
    assert means["random"][0] == means["random"][1]
    assert means["least_requests"][0] < means["least_requests"][1]
    (panel,) = figure_of_age([0, 5], means).axes
    assert len(panel.get_lines()) == 2


def test_the_sliders_change_the_picture() -> None:
    shown = explore_pool(load=0.5)
    before = shown.picture.data
    for control, value in ((shown.load, 0.6), (shown.work, "equal"), (shown.balancer, "random")):
        control.value = value
        assert shown.picture.data != before
        before = shown.picture.data
    assert "simulated requests" in shown.children[-1].value


def test_one_more_server_has_two_variants() -> None:
    loaded = one_more_server("maglev", users=20, duration_s=1)
    assert [len(variant.scenario.replicas) for variant in loaded.variants] == [10, 11]
    assert len(simulated(loaded, variant=1).records.upstreams) == 11


@pytest.fixture
def moved() -> Iterator[Exercise]:
    least_moved.wrong_answers = 0
    yield least_moved
    least_moved.wrong_answers = 0


@pytest.mark.parametrize("answer", [None, ..., lambda _before, _after: ..., lambda _before, _after: None])
def test_the_exercise_can_be_left_for_later(moved: Exercise, answer: Any) -> None:
    assert moved.check(answer).right is None


def test_the_exercise_knows_the_right_answer_and_says_why(moved: Exercise) -> None:
    assert moved.check(lambda before, after: abs(after - before) / max(before, after)).right
    assert [_least_moved(*case) for case in _CASES] == pytest.approx([1 / 11, 1 / 3, 0.2, 0, 0.5])


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda before, after: before / after, "may stay"),
        (lambda _before, after: 1 / after, "more servers join"),
        (lambda before, after: (after - before) / before, "number of all servers, after"),
        (lambda before, after: 100 * abs(after - before) / max(before, after), "a percentage"),
        (lambda before, after: (after - before) / after, "If servers leave"),
        (lambda _before, after: after / (after + 1), "remainder moves"),
        (lambda _before, _after: -3, "between 0 and 1"),
        (lambda _before, _after: 0, "fair share"),
        (lambda _before, _after: 0.7, "Fewer clients must move"),
    ],
)
def test_a_wrong_answer_is_told_what_it_would_mean(
    moved: Exercise, answer: Callable[[int, int], Any], hint: str
) -> None:
    found = moved.check(answer)
    assert found.right is False
    assert hint in found.text and "Hint 1 of 3" in found.text
