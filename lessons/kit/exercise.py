"""Exercises that check themselves: each wrong answer gives a better hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lessons.kit.display import box
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
        ``None`` if there is no answer yet.
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


class Exercise:
    """A question that checks the student's answer and gives hints.

    Parameters
    ----------
    examine : callable
        Takes the student's answer; returns what is wrong with it, or an empty string. Raises
        `Unanswered` if there is no answer yet.
    hints : sequence of str
        From a small hint to nearly the whole solution: each wrong answer gives the next one.
    why : str
        The explanation that follows a right answer.

    Notes
    -----
    An error in the student's function is raised, so that its traceback shows the line.
    """

    def __init__(self, examine: Callable[[Any], str], hints: Sequence[str], why: str) -> None:
        self._examine = examine
        self._hints = list(hints)
        self._why = why
        self.wrong_answers = 0

    def check(self, answer: Any) -> Feedback:
        """Check an answer; a missing answer uses up no hint."""
        try:
            finding = self._examine(answer)
        except Unanswered:
            return Feedback(
                None,
                "There is no answer yet. Write one, then run this cell again. A wrong answer gives a hint.",
            )
        if not finding:
            return Feedback(True, self._why)
        self.wrong_answers += 1
        return Feedback(False, f"{finding}\n{self._hint()}")

    def _hint(self) -> str:
        number = self.wrong_answers
        if number > len(self._hints):
            return WHERE_THE_SOLUTION_IS
        return f"Hint {number} of {len(self._hints)}: {self._hints[number - 1]}"
