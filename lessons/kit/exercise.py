"""Exercises that check themselves: each wrong answer brings a more telling hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lessons.kit.display import box
from twin.plots.style import NEUTRAL, VERDICT

WHERE_THE_SOLUTION_IS = "There are no more hints: open the solution below, and then write it in your own way."


@dataclass(frozen=True)
class Feedback:
    """What a check says; a notebook shows it as a coloured box.

    Attributes
    ----------
    right : bool or None
        ``None`` if there was no answer yet.
    text : str
        Paragraphs, one a line.
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
    """Raised by an exercise's examiner if the student has not begun."""


class Exercise:
    """A question with a check, graded hints, and the reason why the right answer is right.

    Parameters
    ----------
    examine : callable
        Takes the student's answer; returns what is wrong with it, or an empty string. Raises
        `Unanswered` if there is none.
    hints : sequence of str
        From a nudge to nearly everything: every further wrong answer brings the next one.
    why : str
        Said when the answer is right.

    Notes
    -----
    An error that the student's own function raises is not hidden: its traceback shows the line.
    """

    def __init__(self, examine: Callable[[Any], str], hints: Sequence[str], why: str) -> None:
        self._examine = examine
        self._hints = list(hints)
        self._why = why
        self.wrong_answers = 0

    def check(self, answer: Any) -> Feedback:
        """Judge an answer; an answer not yet given costs no hint."""
        try:
            finding = self._examine(answer)
        except Unanswered:
            return Feedback(
                None,
                "Nothing to check yet. Write your answer, then run this cell again; wrong ones bring hints.",
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
