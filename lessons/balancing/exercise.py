"""The exercise of the lesson on load balancing: how many clients must move when servers come or go."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, Unanswered

_CASES = [(10, 11), (10, 15), (10, 8), (4, 4), (1, 2)]
"""Servers before and after; the first is the lesson's own."""


def _least_moved(before: int, after: int) -> float:
    return 1 - min(before, after) / max(before, after)


def _examine(answer: Any) -> str:
    if not callable(answer):
        raise Unanswered
    for before, after in _CASES:
        given = answer(before, after)
        if given is None or given is ...:
            raise Unanswered
        if not isinstance(given, (int, float)) or isinstance(given, bool) or not math.isfinite(given):
            return f"Your function returns {given!r}; expected a number, the share."
        if abs(given - _least_moved(before, after)) > 1e-3:
            return f"{_mistake(float(given), before, after)} (It returns {given:.4g} for {before} → {after}.)"
    return ""


def _mistake(given: float, before: int, after: int) -> str:
    """What a wrong share would mean, or how it seems to have come about."""
    right = _least_moved(before, after)
    known: list[tuple[float, str]] = [
        (1 - right, "That is the share of those who may stay; the question is who must move."),
        (1 / after, "That is what one new server takes; here other numbers of them come or go."),
        (abs(after - before) / before, "The new servers' share is counted among all servers there are then."),
        (100 * right, "A share lies between 0 and 1; yours looks like per cent."),
        (1 - before / after, "Right if servers come. If they go, it is the clients of those that must move."),
        (after / (after + 1), "That is near what the modulus moves, which is far more than must be."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-3:
            return text
    if not 0 <= given <= 1:
        return "A share lies between 0 and 1."
    if given < right:
        return "With so few moves some server would have more than its fair share of the clients."
    return "Fewer have to move than that."


least_moved = Exercise(
    _examine,
    hints=[
        "all servers are to have equal shares, before and after. What share do the new ones need?",
        "of `after` servers, `after - before` are new and need `(after - before) / after` of all clients, "
        "who must come from somewhere. What if there are fewer servers than before?",
        "divide by whichever is more: `1 - min(before, after) / max(before, after)`.",
    ],
    why=(
        "The new servers' fair share has to move, and nothing else: with 10 → 11 that is 9 %. Consistent "
        "hashing comes near this bound; the modulus keeps only who happens to have the same remainder "
        "twice, 1 client in 11.\n"
        "What moves loses its warm cache or its session. That is the price of one server more."
    ),
)
"""What share of the clients must move, at least, when ten servers become eleven?"""
