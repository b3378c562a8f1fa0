"""The exercise of lesson 2: how many clients must move when servers join or leave."""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(10, 11), (10, 15), (10, 8), (4, 4), (1, 2)]
"""Servers before and after; the first case has the numbers of the lesson."""


def _least_moved(before: int, after: int) -> float:
    return 1 - min(before, after) / max(before, after)


def _examine(answer: Any) -> str:
    for before, after in _CASES:
        given = returned(answer, (before, after), "a number, the share")
        if abs(given - _least_moved(before, after)) > 1e-3:
            return f"{_mistake(given, before, after)} (It returns {given:.4g} for {before} → {after}.)"
    return ""


def _mistake(given: float, before: int, after: int) -> str:
    """The meaning of a wrong share, or the mistake that probably led to it."""
    right = _least_moved(before, after)
    known: list[tuple[float, str]] = [
        (1 - right, "This is the share of the clients that may stay. How many must move?"),
        (1 / after, "This is right for one new server. Here more servers join, or some leave."),
        (
            abs(after - before) / before,
            "Divide the number of new servers by the number of all servers, after.",
        ),
        (100 * right, "A share is between 0 and 1. Yours seems to be a percentage."),
        (1 - before / after, "Right if servers join. If servers leave, their clients must move."),
        (after / (after + 1), "The remainder moves about this share. Far fewer clients must move."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-3:
            return text
    if not 0 <= given <= 1:
        return "A share is between 0 and 1."
    if given < right:
        return "If so few clients move, some server has more than its fair share of the clients."
    return "Fewer clients must move."


least_moved = Exercise(
    _examine,
    hints=[
        "all servers have equal shares, before and after. What share do the new servers need?",
        "of `after` servers, `after - before` are new. They need `(after - before) / after` of all clients, "
        "and these clients must move. What if there are fewer servers than before?",
        "divide by the larger number: `1 - min(before, after) / max(before, after)`.",
    ],
    why=(
        "Only the fair share of the new servers must move: 9 % for 10 → 11. Consistent hashing comes close "
        "to this bound. With the remainder, a client stays only if its remainder is the same before and "
        "after: 1 client in 11.\n"
        "A client that moves loses its warm cache or its session. This is the price of one more server."
    ),
)
"""Which share of the clients must move at least when ten servers become eleven?"""
