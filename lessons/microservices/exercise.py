"""The exercise of lesson 9: the largest retry budget with which a service heals in time."""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [
    (70.0, 100.0, 10.0, 60.0), (50.0, 100.0, 5.0, 20.0), (300.0, 500.0, 2.0, 8.0), (65.0, 100.0, 0.6, 2.0),
]  # fmt: skip
"""Load, capacity, outage, and the time that it may take."""


def _budget(load: float, capacity: float, outage: float, within: float) -> float:
    return capacity * within / (load * (within + outage)) - 1


def _examine(answer: Any) -> str:
    for case in _CASES:
        given = returned(answer, case, "a number, the retries per request")
        if abs(given - _budget(*case)) > 1e-6:
            load, capacity, outage, within = case
            shown = (
                f" (It returns {given:.4g} for load = {load:g}, capacity = {capacity:g}, "
                f"outage = {outage:g} and within = {within:g}.)"
            )
            return _mistake(given, *case) + shown
    return ""


def _mistake(given: float, load: float, capacity: float, outage: float, within: float) -> str:
    """The mistake that probably led to a wrong budget."""
    right = _budget(load, capacity, outage, within)
    known: list[tuple[float, str]] = [
        (
            capacity / load - 1,
            "With this budget the attempts are exactly what the server can do, so the backlog never shrinks.",
        ),
        (1 + right, "These are the attempts per request. The first attempt is no retry."),
        (load * (1 + right), "These are the attempts per second. The budget is the retries per request."),
        (load * right, "These are the retries per second. The budget is the retries per request."),
        (
            capacity / load - outage / within - 1,
            "You let the backlog shrink beside the retries. But retries have also filled it in the outage.",
        ),
        (100 * right, "This seems to be a percentage. The budget is the retries per request."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    if given < 0:
        return "A budget is not negative, and here some retries are possible."
    attempts = load * (1 + given)
    if attempts >= capacity:
        return "With this budget the attempts are more than the server can do, so it never heals."
    takes = attempts * outage / (capacity - attempts)
    return f"With this budget it heals after {takes:.4g} s, not after {within:g} s."


healing_budget = Exercise(
    _examine,
    hints=[
        "first find how many attempts per second, `x`, the server can stand. What has come in the outage is "
        "the backlog `x * outage`. How fast does it shrink after the outage?",
        "the backlog shrinks by `capacity - x` per second, so it is gone after "
        "`x * outage / (capacity - x)` seconds. Set this equal to `within`, and solve for `x`.",
        "`x = capacity * within / (within + outage)`. And `x` is `load * (1 + b)`. Solve for `b`.",
    ],
    why=(
        "The longer you can wait, the larger the budget, but never above the limit of the rule, "
        "`capacity / load - 1`. With 70 requests per second, a capacity of 100 and an outage of 10 s, a "
        "budget of 0.22 heals within 60 s. A budget of 0.43 would never do.\n"
        "Choose the budget for the busiest hour: at a higher load the same budget no longer heals."
    ),
)
"""The largest budget with which the backlog of an outage is gone within some seconds."""
