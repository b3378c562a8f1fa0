"""Numbers that students write: every kind of real number counts, all else gets one line and costs no hint."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lessons.balancing import exercise as lesson_2
from lessons.both_at_once import exercise as lesson_10
from lessons.caching import exercise as lesson_6
from lessons.canary import exercise as lesson_8
from lessons.forward import exercise as lesson_4
from lessons.ingress import exercise as lesson_7
from lessons.kit import Exercise, Predictions
from lessons.kit.number import finite_number, shown
from lessons.microservices import exercise as lesson_9
from lessons.not_only_http import exercise as lesson_5
from lessons.predict_then_confirm import exercise as lesson_1
from lessons.proxy_or_vpn import exercise as lesson_11
from lessons.trust import exercise as lesson_3

NUMBERS: dict[str, Callable[[float], Any]] = {
    "float": float,
    "np.float64": np.float64,
    "Fraction": Fraction,
    "Decimal": Decimal,
}
WHOLE: dict[str, Callable[[float], Any]] = NUMBERS | {
    "int": int,
    "np.int64": np.int64,
    "np.int16": np.int16,
    "np.uint16": np.uint16,
    "np.float32": np.float32,
    "np.float16": np.float16,
}
NO_NUMBERS: dict[str, object] = {
    "NaN": math.nan, "NumPy's NaN": np.float64("nan"), "Decimal's NaN": Decimal("NaN"),
    "signalling NaN": Decimal("sNaN"), "infinity": math.inf, "minus infinity": -math.inf,
    "Decimal's infinity": Decimal("Infinity"), "float32's infinity": np.float32("inf"),
    "beyond all floats": 10**400, "beyond what Python writes": 10**5000,
    "beyond all floats, Fraction": Fraction(10**400),
    "True": True, "NumPy's True": np.True_, "text": "0.1", "text with a unit": "10 %", "empty text": "",
    "bytes": b"1", "list": [0.1], "tuple": (1,), "dict": {}, "array": np.array([0.1]),
    "array without a dimension": np.array(0.1), "long array": np.arange(3000.0), "table": np.eye(20),
    "complex": 1 + 0j, "NumPy's complex": np.complex128(1), "duration": np.timedelta64(1, "s"),
    "function": len, "class": float, "not implemented": NotImplemented,
}  # fmt: skip
SOLVED: dict[str, tuple[Exercise, Callable[..., float], Any]] = {
    "1": (lesson_1.fair_share, lesson_1._fair_share, NUMBERS),
    "2": (lesson_2.least_moved, lesson_2._least_moved, NUMBERS),
    "3": (lesson_3.enough_runs, lesson_3._runs_needed, WHOLE),
    "4": (lesson_4.ratio_behind, lesson_4._ratio_behind, NUMBERS),
    "5": (lesson_5.enough_requests, lesson_5._enough, WHOLE),
    "6": (lesson_6.lifetime_needed, lesson_6._needed, NUMBERS),
    "7": (lesson_7.door_limit, lesson_7._most, NUMBERS),
    "10": (lesson_10.cold_shield, lesson_10._reaching, NUMBERS),
    "8": (lesson_8.drifted_users, lesson_8._drifted, NUMBERS),
    "9": (lesson_9.healing_budget, lesson_9._budget, NUMBERS),
    "11": (lesson_11.clear_wires, lesson_11._clear, WHOLE),
}


def fresh(lesson: str) -> Exercise:
    known = SOLVED[lesson][0]
    return Exercise(known._examine, known._hints, known._why)


def takes_as_many(lesson: str, value: object) -> Callable[..., Any]:
    """A function that returns `value`, with as many arguments as the solution has."""
    number = SOLVED[lesson][1].__code__.co_argcount
    return {2: lambda _a, _b: value, 3: lambda _a, _b, _c: value, 4: lambda _a, _b, _c, _d: value}[number]


@pytest.mark.parametrize(("lesson", "kind"), [(n, kind) for n, known in SOLVED.items() for kind in known[2]])
def test_a_right_answer_is_right_in_every_kind_of_number(lesson: str, kind: str) -> None:
    _, solve, kinds = SOLVED[lesson]
    feedback = fresh(lesson).check(lambda *case: kinds[kind](solve(*case)))
    assert feedback.right is True


@pytest.mark.parametrize("lesson", SOLVED)
@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_gets_one_line_and_takes_no_hint(lesson: str, value: object) -> None:
    exercise = fresh(lesson)
    feedback = exercise.check(takes_as_many(lesson, value))
    assert feedback.right is None and exercise.wrong_answers == 0
    assert "expected a number" in feedback.text
    assert "\n" not in feedback.text and "Hint" not in feedback.text and len(feedback.text) < 160


@pytest.mark.parametrize("lesson", SOLVED)
def test_a_number_of_the_wrong_kind_in_a_later_case_takes_no_hint_either(lesson: str) -> None:
    _, solve, _ = SOLVED[lesson]
    values: Iterator[Any] = iter([True, math.nan])
    first = []

    def late(*case: float) -> Any:
        if not first:
            first.append(case)
        return solve(*case) if case == first[0] else next(values)

    exercise = fresh(lesson)
    assert exercise.check(late).right is None and exercise.wrong_answers == 0


@pytest.mark.parametrize("lesson", SOLVED)
@pytest.mark.parametrize("answer", [0.1, 14, "0.1", np.float64(3), [1], math.nan])
def test_a_value_instead_of_a_function_is_told_so(lesson: str, answer: object) -> None:
    exercise = fresh(lesson)
    feedback = exercise.check(answer)
    assert feedback.right is None and exercise.wrong_answers == 0
    assert "Expected your function itself" in feedback.text and "\n" not in feedback.text


@pytest.mark.parametrize("lesson", SOLVED)
@pytest.mark.parametrize("answer", [lambda: 1, lambda _one: 1, lambda *, named: named])
def test_a_function_of_other_arguments_is_told_how_many_are_expected(
    lesson: str, answer: Callable[..., Any]
) -> None:
    feedback = fresh(lesson).check(answer)
    assert feedback.right is None and "arguments" in feedback.text


@pytest.mark.parametrize("lesson", SOLVED)
def test_the_same_wrong_answer_again_brings_the_same_hint(lesson: str) -> None:
    exercise = fresh(lesson)
    for _ in range(5):  # a cell that is run again defines the function anew
        assert "Hint 1 of 3" in exercise.check(takes_as_many(lesson, 0.987)).text
    assert "Hint 1 of 3" in exercise.check(takes_as_many(lesson, np.float64(0.987))).text
    assert "Hint 2 of 3" in exercise.check(takes_as_many(lesson, -0.5)).text
    assert "Hint 1 of 3" in exercise.check(takes_as_many(lesson, 0.987)).text
    assert "Hint 3 of 3" in exercise.check(takes_as_many(lesson, -7)).text
    assert exercise.wrong_answers == 3


@pytest.mark.parametrize("lesson", SOLVED)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(value=1.7e308)
@example(value=-1.7e308)
@example(value=5e-324)
def test_any_wrong_number_is_told_what_it_means_without_a_strange_one(lesson: str, value: float) -> None:
    feedback = fresh(lesson).check(takes_as_many(lesson, value))
    assert feedback.right is False and "Hint 1 of 3" in feedback.text
    assert not re.search(r"\b(nan|inf)\b", feedback.text)


def test_a_builtin_function_that_tells_no_arguments_is_called() -> None:
    assert fresh("2").check(max).right is False


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_no_prediction_and_is_explained_in_a_line(value: object) -> None:
    mine = Predictions()
    mine.number("ratio", "how many times?", value)
    assert mine.missing == ["ratio"]
    remark, _ = mine._remarks()
    assert "expected a number" in remark and "\n" not in remark and len(remark) < 140


@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_every_kind_of_number_is_a_prediction_and_a_result(kind: Callable[[float], Any]) -> None:
    mine = Predictions()
    mine.number("ratio", "how many times?", kind(4))
    mine.simulated("ratio", kind(2))
    assert mine.closeness("ratio") == "100 % too high"
    mine.measured("ratio", kind(8))
    assert mine.closeness("ratio") == "50 % too low"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_finite_number_keeps_its_value_in_every_kind(value: float) -> None:
    for kind in NUMBERS.values():
        assert finite_number(kind(value)) == value


@given(st.one_of(st.text(), st.binary(), st.booleans(), st.complex_numbers(), st.lists(st.floats())))
def test_nothing_else_is_a_number_and_all_of_it_is_shown_in_a_line(value: object) -> None:
    assert finite_number(value) is None
    assert "\n" not in shown(value) and len(shown(value)) <= 61
