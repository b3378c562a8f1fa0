"""Exercises that check themselves: each wrong answer gives a better hint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lessons.kit.display import box
from lessons.kit.number import finite_number, shown
from twin.plots.style import NEUTRAL, VERDICT

WHERE_THE_SOLUTION_IS = (
    "There are no more hints. Open the solution below, and then write it in your own words."
)


@dataclass(frozen=True)
class Feedback:
    """The result of a check; a notebook shows it as a coloured box.

    Attributes
    ----------
    right : bool or None
        ``None`` if there is no answer yet, or none that can be checked.
    text : str
        Paragraphs, one per line.
    """

    right: bool | None
    text: str

    @property
    def title(self) -> str:
        """The verdict in two words."""
        return {True: "Right.", False: "Not yet.", None: "Your turn."}[self.right]

    def _repr_html_(self) -> str:
        colours = {True: VERDICT["confirmed"], False: VERDICT["inconclusive"], None: NEUTRAL}
        return box(self.text, colours[self.right], self.title)

    def __str__(self) -> str:
        return f"{self.title} {self.text}"

    __repr__ = __str__


class Unanswered(Exception):
    """The student has not written an answer yet."""


class Unreadable(Exception):
    """The answer is of a kind that cannot be checked; the message says in one line what was expected."""


def returned(answer: Any, case: Sequence[float], expected: str) -> float:
    """Call the student's function, and read the number that it returns.

    Parameters
    ----------
    answer : object
        The student's answer, which should be a function.
    case : sequence of float
        The arguments of the call.
    expected : str
        What the function should return, such as ``a number of seconds``.

    Raises
    ------
    Unanswered
        If there is no function yet, or if it returns ``None`` or ``...``.
    Unreadable
        If the answer is no function of these arguments, or returns something else than a finite number.
    """
    if answer is None or answer is ...:
        raise Unanswered
    if not callable(answer):
        raise Unreadable(
            f"Expected your function itself, by its name and without brackets: not {shown(answer)}."
        )
    try:
        inspect.signature(answer).bind(*case)
    except ValueError:  # a builtin function that does not tell its arguments
        pass
    except TypeError:
        raise Unreadable(
            f"Expected a function of {len(case)} arguments, as in the cell before you changed it."
        ) from None
    given = answer(*case)
    if given is None or given is ...:
        raise Unanswered
    number = finite_number(given)
    if number is None:
        raise Unreadable(f"Your function returns {shown(given)}; expected {expected}.")
    return number


class Exercise:
    """A question that checks the student's answer and gives hints.

    Parameters
    ----------
    examine : callable
        Takes the student's answer; returns what is wrong with it, or an empty string. Raises
        `Unanswered` if there is no answer yet, and `Unreadable` if the answer cannot be checked.
    hints : sequence of str
        From a small hint to nearly the whole solution: each new wrong answer gives the next one.
    why : str
        The explanation that follows a right answer.

    Attributes
    ----------
    wrong_answers : int
        Number of different wrong answers so far.

    Notes
    -----
    An error in the student's function is raised, so that its traceback shows the line.
    """

    def __init__(self, examine: Callable[[Any], str], hints: Sequence[str], why: str) -> None:
        self._examine = examine
        self._hints = list(hints)
        self._why = why
        self._hint_after: dict[str, int] = {}
        self.wrong_answers = 0

    def check(self, answer: Any) -> Feedback:
        """Check an answer. Only a new wrong answer uses up a hint: a repeated one shows its hint again."""
        try:
            finding = self._examine(answer)
        except Unanswered:
            return Feedback(
                None,
                "There is no answer yet. Write one, then run this cell again. A wrong answer gives a hint.",
            )
        except Unreadable as error:
            return Feedback(None, str(error))
        if not finding:
            return Feedback(True, self._why)
        if finding not in self._hint_after:
            self.wrong_answers += 1
            self._hint_after[finding] = self.wrong_answers
        return Feedback(False, f"{finding}\n{self._hint(self._hint_after[finding])}")

    def _hint(self, number: int) -> str:
        if number > len(self._hints):
            return WHERE_THE_SOLUTION_IS
        return f"Hint {number} of {len(self._hints)}: {self._hints[number - 1]}"
