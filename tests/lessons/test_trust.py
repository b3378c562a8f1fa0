"""Lesson 3: its simulations and figures over the whole range of the sliders, and its exercise."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_hex

from lessons.kit import Exercise, side_by_side, simulated
from lessons.kit.display import png
from lessons.trust import explore_runs, figure_of_repetition, one_server, repeat
from lessons.trust.exercise import _examine, enough_runs
from lessons.trust.explorer import LOADS, SECONDS
from lessons.trust.replications import SERVICE_S, _repeated, said
from twin.plots.style import MEASURED, PREDICTED

CORNERS = list(itertools.product(LOADS[:2], SECONDS[:2]))


@pytest.mark.parametrize(("load", "seconds"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    load: float, seconds: int, in_a_second: Callable[[Callable[[], bytes]], bytes]
) -> None:
    def answer() -> bytes:
        _repeated.cache_clear()
        return png(figure_of_repetition(repeat(load, seconds)))

    data = in_a_second(answer)
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (374, 1100)


@pytest.mark.parametrize(("load", "seconds"), CORNERS)
def test_axes_stand_still_and_nothing_lies_beyond_them(load: float, seconds: int) -> None:
    found = repeat(load, seconds)
    runs, curve = figure_of_repetition(found).axes
    for panel in (runs, curve):
        assert panel.get_ylim() == (10.0, 2000.0)
        assert panel.get_xlabel() and "ms" in panel.get_ylabel()
    assert (found.means > 0.010).all() and (found.means < 2.0).all()


def test_the_picture_shows_every_run_in_the_colour_of_predictions() -> None:
    found = repeat(0.5, 4)
    runs, curve = figure_of_repetition(found).axes
    dots = next(line for line in runs.get_lines() if line.get_marker() == "o")
    assert dots.get_ydata() == pytest.approx(1e3 * found.means)
    assert to_hex(dots.get_color()) == PREDICTED
    assert curve.containers, "the mean with its interval"


def test_a_server_has_the_load_that_is_asked_for() -> None:
    scenario = one_server(0.8, 400).scenario
    assert scenario.workload.rate == pytest.approx(40)
    assert scenario.backend["web"].service_time.mean == SERVICE_S
    assert len(one_server().variants) == 1
    busy = simulated(one_server(0.8, 400)).queues["web/0"]
    assert np.mean(busy.at(np.linspace(0, 400, 100_000)) > 0) == pytest.approx(0.8, abs=0.03)


def test_further_settings_can_be_changed() -> None:
    scenario = one_server(0.8, 5, backend__web__service_time="20ms", workload__connections=1).scenario
    assert scenario.workload.connections == 1
    assert scenario.backend["web"].service_time.scv == 0


def test_long_runs_come_near_to_the_formula_and_short_ones_lie_far_apart() -> None:
    long, short = repeat(0.5, 40), repeat(0.5, 2)
    assert long.theory == pytest.approx(0.040)
    assert abs(long.estimate.z_score(long.theory)) < 4.9
    assert short.estimate.half_width > long.estimate.half_width


def test_the_interval_is_said_in_words() -> None:
    found = repeat(0.5, 40)
    text = said(found)
    assert f"{found.requests:,} simulated requests" in text
    assert "theory, 40 ms, is" in text


def test_sliders_change_the_picture_in_place() -> None:
    explorer = explore_runs(0.5, 4)
    before = explorer.picture.data
    explorer.load.value = 0.8
    assert explorer.picture.data == png(figure_of_repetition(repeat(0.8, 4))) != before
    explorer.seconds.value = 8
    assert explorer.picture.data == png(figure_of_repetition(repeat(0.8, 8)))
    assert "simulated requests" in explorer._note.value


def test_a_prediction_can_stand_beside_a_measurement() -> None:
    shown = side_by_side({"mean": (90.0, 100.0, "ms")}, columns=("predicted", "measured"))._repr_html_()
    assert "measured" in shown and "simulated" not in shown and MEASURED in shown and "-10.0 %" in shown


@pytest.fixture
def exercise() -> Exercise:
    return Exercise(_examine, enough_runs._hints, enough_runs._why)


@pytest.mark.parametrize("answer", [None, ..., lambda *_: ..., lambda *_: None])
def test_the_exercise_can_be_left_for_later(exercise: Exercise, answer: Any) -> None:
    assert exercise.check(answer).right is None
    assert exercise.wrong_answers == 0


def test_the_right_number_of_runs_is_told_why(exercise: Exercise) -> None:
    feedback = exercise.check(lambda now, runs, wanted: math.ceil(runs * (now / wanted) ** 2))
    assert feedback.right is True
    assert "sixteen times" in feedback.text


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (lambda now, runs, wanted: runs * now / wanted, "Twice as many runs"),
        (lambda now, runs, wanted: math.ceil(runs * math.sqrt(now / wanted)), "The root belongs"),
        (lambda now, runs, wanted: runs * (now / wanted) ** 2 - runs, "how many more"),
        (lambda now, runs, wanted: runs * (now / wanted) ** 2, "a whole number"),
        (lambda now, runs, wanted: math.floor(runs * (now / wanted) ** 2), "is too wide"),
        (lambda now, runs, wanted: math.ceil(runs * (wanted / now) ** 2), "upside down"),
        (lambda *_: 90, "about 6.67"),
        (lambda *_: -1, "at least 1"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(
    exercise: Exercise, answer: Callable[[float, int, float], object], finding: str
) -> None:
    feedback = exercise.check(answer)
    assert feedback.right is False
    assert finding in feedback.text and "Hint 1 of 3" in feedback.text
