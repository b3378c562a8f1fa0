"""Exercises: hints, known mistakes, and the explanation of the right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lessons.kit import Exercise, Feedback, Unanswered
from lessons.kit.exercise import WHERE_THE_SOLUTION_IS
from lessons.predict_then_confirm import fair_share
from lessons.predict_then_confirm.exercise import _fair_share


def examine(answer: object) -> str:
    if answer is None:
        raise Unanswered
    return "" if answer == 42 else f"{answer} is not it."


@pytest.fixture
def exercise() -> Exercise:
    return Exercise(examine, ["think", "think of a book", "it is 6 times 7"], why="6 times 7.")


@pytest.fixture
def share() -> Iterator[Exercise]:
    fair_share.wrong_answers = 0
    yield fair_share
    fair_share.wrong_answers = 0


def test_every_further_wrong_answer_brings_the_next_hint_and_then_the_way_to_the_solution(
    exercise: Exercise,
) -> None:
    said = [exercise.check(number).text for number in range(5)]
    assert [hint in text for hint, text in zip(["1 of 3", "2 of 3", "3 of 3"], said, strict=False)] == [
        True
    ] * 3
    assert all(WHERE_THE_SOLUTION_IS in text for text in said[3:])
    assert "0 is not it." in said[0], "what is wrong with this very answer comes first"


def test_no_answer_is_no_wrong_answer(exercise: Exercise) -> None:
    assert exercise.check(None).right is None
    assert "1 of 3" in exercise.check(7).text


def test_the_right_answer_is_told_why(exercise: Exercise) -> None:
    assert exercise.check(42) == Feedback(True, "6 times 7.")
    assert str(exercise.check(42)).startswith("Right.")


def test_feedback_is_a_box_in_the_colour_of_its_verdict(exercise: Exercise) -> None:
    boxes = [exercise.check(answer)._repr_html_() for answer in (None, 1, 42)]
    assert len({text[: text.index(";")] for text in boxes}) == 3
    assert "Your turn." in boxes[0] and "Not yet." in boxes[1] and "Right." in boxes[2]


def test_a_students_own_error_keeps_its_traceback(share: Exercise) -> None:
    with pytest.raises(ZeroDivisionError):
        share.check(lambda slow, _replicas: slow / 0)


@pytest.mark.parametrize("answer", [None, ..., lambda _slow, _replicas: ..., lambda _slow, _replicas: None])
def test_the_fair_share_can_be_left_for_later(share: Exercise, answer: Any) -> None:
    assert share.check(answer).right is None
    assert share.wrong_answers == 0


@pytest.mark.parametrize(
    "answer",
    [
        lambda slow, replicas: (1 / slow) / (replicas - 1 + 1 / slow),
        lambda slow, replicas: 1 / (1 + slow * (replicas - 1)),
    ],
)
def test_the_fair_share_may_be_written_in_any_way(
    share: Exercise, answer: Callable[[float, int], float]
) -> None:
    feedback = share.check(answer)
    assert feedback.right is True
    assert "10 %" in feedback.text


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (lambda _slow, replicas: 1 / replicas, "round robin"),
        (lambda slow, _replicas: 1 / slow, "must add up to 1"),
        (lambda slow, replicas: 1 / (slow * replicas), "less busy"),
        (lambda _slow, _replicas: 10.0, "a percentage"),
        (lambda _slow, _replicas: 0.9, "all fast replicas together"),
        (lambda _slow, _replicas: 0.1, "use both parameters"),
        (lambda _slow, _replicas: -3.0, "between 0 and 1"),
        (lambda _slow, _replicas: 0.4, "6 times as busy"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(
    share: Exercise, answer: Callable[[float, int], object], finding: str
) -> None:
    feedback = share.check(answer)
    assert feedback.right is False
    assert finding in feedback.text and "Hint 1 of 3" in feedback.text


@pytest.mark.parametrize(("slow", "replicas"), [(1.0, 2), (3.0, 4), (10.0, 50)])
def test_with_the_fair_share_all_replicas_are_equally_busy(slow: float, replicas: int) -> None:
    share = _fair_share(slow, replicas)
    assert share * slow == pytest.approx((1 - share) / (replicas - 1))
