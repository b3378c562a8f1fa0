"""A student's guesses: kept, judged, and compared with both twins."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.kit import Order, Predictions
from lessons.predict_then_confirm import BALANCERS


@pytest.fixture
def mine() -> Predictions:
    return Predictions()


def test_a_missing_guess_is_no_error_and_is_said_kindly(mine: Predictions) -> None:
    mine.number("ratio", "how many times?", None)
    mine.simulated("ratio", 1.2)
    assert mine.missing == ["ratio"]
    assert "A prediction is missing" in mine._repr_html_() and "A prediction is missing" in repr(mine)
    assert "1.2" in mine._repr_html_()
    assert mine.closeness("ratio") == ""


def test_a_guess_stands_beside_simulation_and_measurement(mine: Predictions) -> None:
    mine.number("share", "share of the slow one", 10, unit="%")
    mine.simulated("share", 12.5)
    mine.measured("share", 12.9)
    assert all(figure in mine._repr_html_() for figure in ("10 %", "12.5 %", "12.9 %"))
    assert "missing" not in mine._repr_html_()


def test_the_measurement_judges_as_soon_as_there_is_one(mine: Predictions) -> None:
    mine.number("ratio", "how many times?", 3)
    assert mine.closeness("ratio") == ""
    mine.simulated("ratio", 3.0)
    assert mine.closeness("ratio") == "right"
    mine.measured("ratio", 2.0)
    assert mine.closeness("ratio") == "50 % too high"


@pytest.mark.parametrize(
    ("guess", "truth", "said"),
    [
        (1.0, 1.25, "20 % too low"),
        (5.0, 1.0, "5.0 times too high"),
        (1.0, 4.0, "4.0 times too low"),
        (0.0, 4.0, "100 % too low"),
        (0.0, 0.0, "exactly right"),
        (2.0, 0.0, "+2 off"),
        (-1.0, 1.0, "200 % too low"),
    ],
)
def test_how_far_a_number_is_off_is_said_in_words(
    mine: Predictions, guess: float, truth: float, said: str
) -> None:
    mine.number("it", "?", guess)
    mine.measured("it", truth)
    assert mine.closeness("it") == said


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_an_unknown_result_judges_nothing(mine: Predictions, unknown: float | None) -> None:
    mine.number("ratio", "how many times?", 3)
    mine.measured("ratio", unknown)
    assert mine.closeness("ratio") == "" and "measured –" in repr(mine)


def test_three_dots_are_a_missing_guess(mine: Predictions) -> None:
    mine.number("ratio", "how many times?", ...)
    mine.order("order", "shortest first", ..., of=BALANCERS)
    assert mine.missing == ["ratio", "order"] and "expected" not in repr(mine)


@pytest.mark.parametrize(
    ("guess", "problem"),
    [
        ("p2c", "expected a list"),
        ([1, 2, 3, 4], "expected a list"),
        (["p2c", "random", "round_robin", "least_request"], "did you mean 'least_requests'?"),
        (["p2c", "random", "round_robin"], "'least_requests' is missing"),
        ([*BALANCERS, "p2c"], "each once"),
    ],
)
def test_what_is_no_order_is_explained_and_not_kept(mine: Predictions, guess: object, problem: str) -> None:
    mine.order("order", "shortest first", guess, of=BALANCERS)
    assert mine.missing == ["order"]
    assert problem in repr(mine)


def test_an_order_is_judged_by_the_pairs_that_were_measured(mine: Predictions) -> None:
    mine.order("order", "shortest first", ["p2c", "random", "round_robin", "least_requests"], of=BALANCERS)
    mine.simulated("order", ["least_requests", "p2c", "round_robin", "random"])
    assert mine.closeness("order") == "right in 2 of 6 pairs"
    mine.measured("order", ["least_requests", "round_robin"])
    assert mine.closeness("order") == "right in 0 of 1 pairs"


@given(st.permutations(BALANCERS), st.permutations(BALANCERS))
def test_right_pairs_are_those_that_both_orders_agree_on(guess: list[str], truth: list[str]) -> None:
    mine = Predictions()
    mine.order("order", "?", guess, of=BALANCERS)
    mine.simulated("order", truth)
    agreed = sum(
        (guess.index(a) < guess.index(b)) == (truth.index(a) < truth.index(b))
        for a, b in itertools.combinations(BALANCERS, 2)
    )
    assert mine.closeness("order") == f"right in {agreed} of 6 pairs"


def test_pairs_that_cannot_be_told_apart_judge_no_guess(mine: Predictions) -> None:
    mine.order("order", "shortest first", ["p2c", "random", "round_robin", "least_requests"], of=BALANCERS)
    tie = Order(("least_requests", "p2c", "random", "round_robin"), frozenset())
    mine.measured("order", tie)
    assert mine.closeness("order") == "" and "measured cannot be told apart" in repr(mine)
    one = frozenset({frozenset(("p2c", "random")), frozenset(("least_requests", "round_robin"))})
    mine.measured("order", Order(tie.names, one))
    assert mine.closeness("order") == "right in 1 of 2 pairs"
    assert "least_requests ≈ p2c < random ≈ round_robin" in repr(mine)


def test_a_share_is_off_by_points_and_all_else_by_a_share(mine: Predictions) -> None:
    for unit, said in (("%", "10.0 pp too low"), ("ms", "20 % too low"), ("", "20 % too low")):
        mine.number("it", "?", 40, unit=unit)
        mine.measured("it", 50)
        assert mine.closeness("it") == said


def test_a_cell_that_is_run_again_replaces_the_guess(mine: Predictions) -> None:
    mine.number("ratio", "how many times?", None)
    mine.number("ratio", "how many times?", 2.0)
    assert mine.missing == []


def test_what_is_not_measured_yet_is_known(mine: Predictions) -> None:
    mine.number("ratio", "how many times?", None)
    mine.order("order", "shortest first", None, of=BALANCERS)
    assert mine.unmeasured == ["ratio", "order"]
    mine.measured("ratio", 2.0)
    mine.measured("order", Order(tuple(BALANCERS), frozenset()))
    assert mine.unmeasured == []


def test_what_a_student_writes_cannot_become_markup(mine: Predictions) -> None:
    mine.number("ratio", "how many times?", "<script>")
    assert "<script>" not in mine._repr_html_()
