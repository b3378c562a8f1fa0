"""The exercise of lesson 3: how many runs give a confidence interval of a wanted width."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(20.0, 10, 5.0), (8.0, 10, 4.0), (10.0, 7, 3.0), (30.0, 5, 10.0), (3.0, 20, 3.0)]
"""Half width now, runs, half width wanted; the first case has the numbers of the lesson."""


def _runs_needed(now: float, runs: int, wanted: float) -> int:
    return math.ceil(runs * (now / wanted) ** 2 - 1e-9)


def _examine(answer: Any) -> str:
    for now, runs, wanted in _CASES:
        given = returned(answer, (now, runs, wanted), "a number of runs")
        if given != _runs_needed(now, runs, wanted):
            shown = (
                f" (It returns {given:g} for half_now = {now:g}, runs = {runs}, half_wanted = {wanted:g}.)"
            )
            return _mistake(given, now, runs, wanted) + shown
    return ""


def _mistake(given: float, now: float, runs: int, wanted: float) -> str:
    """The effect of a wrong number, or the mistake that probably led to it."""
    ratio, right = now / wanted, _runs_needed(now, runs, wanted)
    known: list[tuple[float, str]] = [
        (runs * ratio**2, "A number of runs is a whole number: round up."),
        (math.floor(runs * ratio**2), "This is one run too few, so the interval is too wide: round up."),
        (math.ceil(runs * ratio), "Twice as many runs do not make the interval half as wide."),
        (math.ceil(runs * math.sqrt(ratio)), "The root belongs to the width, not to the number of runs."),
        (right - runs, "This is how many more runs are needed. The question is how many in total."),
        (math.ceil(runs / ratio**2), "This is upside down: a narrower interval needs more runs, not fewer."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    if given < 1:
        return "A number of runs is at least 1."
    left = now * math.sqrt(runs / given)
    return f"With this number of runs in total, the half width would be about {left:.3g}."


enough_runs = Exercise(
    _examine,
    hints=[
        "the standard error of a mean of n independent values is their standard deviation, divided by a "
        "function of n. Which function?",
        "the half width falls with the square root of the number of runs: `half_wanted / half_now` is "
        "`sqrt(runs / needed)`.",
        "`needed = runs * (half_now / half_wanted) ** 2`, rounded up with `math.ceil`.",
    ],
    why=(
        "An interval that is four times narrower needs sixteen times as many runs. That is why a good "
        "experiment does not only run longer. Common random numbers remove most of the randomness "
        "before anything is averaged.\n"
        "The result is an estimate: a few runs show the standard deviation only roughly, and Student's t "
        "becomes a little smaller with more runs."
    ),
)
"""How many runs in total give a confidence interval of the wanted width?"""
