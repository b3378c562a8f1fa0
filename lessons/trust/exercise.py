"""The exercise of the lesson on trust: how many runs make an interval narrow enough."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, Unanswered

_CASES = [(20.0, 10, 5.0), (8.0, 10, 4.0), (10.0, 7, 3.0), (30.0, 5, 10.0), (3.0, 20, 3.0)]
"""Half width now, runs, half width wanted; the first is the lesson's own."""


def _runs_needed(now: float, runs: int, wanted: float) -> int:
    return math.ceil(runs * (now / wanted) ** 2 - 1e-9)


def _examine(answer: Any) -> str:
    if not callable(answer):
        raise Unanswered
    for now, runs, wanted in _CASES:
        given = answer(now, runs, wanted)
        if given is None or given is ...:
            raise Unanswered
        if not isinstance(given, (int, float)) or isinstance(given, bool) or not math.isfinite(given):
            return f"Your function returns {given!r}; expected a number of runs."
        if given != _runs_needed(now, runs, wanted):
            shown = (
                f" (It returns {given:g} for half_now = {now:g}, runs = {runs}, half_wanted = {wanted:g}.)"
            )
            return _mistake(float(given), now, runs, wanted) + shown
    return ""


def _mistake(given: float, now: float, runs: int, wanted: float) -> str:
    """What a wrong number would do, or how it seems to have come about."""
    ratio, right = now / wanted, _runs_needed(now, runs, wanted)
    known: list[tuple[float, str]] = [
        (runs * ratio**2, "There are no parts of a run: round up."),
        (math.floor(runs * ratio**2), "One run too few, and the interval is still too wide: round up."),
        (math.ceil(runs * ratio), "Twice as many runs do not make it half as wide."),
        (math.ceil(runs * math.sqrt(ratio)), "The root belongs to the width, not to the number of runs."),
        (right - runs, "That is how many more runs are needed; the question is how many in all."),
        (math.ceil(runs / ratio**2), "Upside down: a narrower interval needs more runs, not fewer."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    if given <= 0:
        return "A number of runs is at least 1."
    left = now * math.sqrt(runs / given)
    return f"With so many runs in all, half of the interval would be about {left:.3g} wide."


enough_runs = Exercise(
    _examine,
    hints=[
        "the standard error of a mean of n independent values is their spread, divided by a function "
        "of n. Which one?",
        "the half width falls with the root of the number of runs: `half_wanted / half_now` is "
        "`sqrt(runs / needed)`.",
        "`needed = runs * (half_now / half_wanted) ** 2`, rounded up with `math.ceil`.",
    ],
    why=(
        "Four times narrower costs sixteen times as many runs. That is why a good experiment does not "
        "only run longer: common random numbers took out most of the chance before it was averaged.\n"
        "It is an estimate: the spread itself is known only roughly from a few runs, and Student's t "
        "shrinks a little as they become more."
    ),
)
"""How many runs in all make a confidence interval as narrow as wanted?"""
