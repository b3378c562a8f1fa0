"""The exercise of lesson 1: the fair share of a slow replica."""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(3.0, 4), (1.0, 4), (2.0, 2), (8.0, 10)]
"""Slowness and number of replicas; the first case has the numbers of the lesson."""


def _fair_share(slow: float, replicas: int) -> float:
    return (1 / slow) / (replicas - 1 + 1 / slow)


def _examine_fair_share(answer: Any) -> str:
    for slow, replicas in _CASES:
        given = returned(answer, (slow, replicas), "a number, the share")
        right = _fair_share(slow, replicas)
        if abs(given - right) > 1e-3:
            return _mistake(given, slow, replicas) + _shown(given, slow, replicas)
    return ""


def _shown(given: float, slow: float, replicas: int) -> str:
    return f" (It returns {given:.4g} for slow = {slow:g} and {replicas} replicas.)"


def _mistake(given: float, slow: float, replicas: int) -> str:
    """The effect of a wrong share, or the mistake that probably led to it."""
    if (slow, replicas) != _CASES[0]:
        return "Right for the replicas of this lesson, but not for others: use both parameters."
    known: list[tuple[float, str]] = [
        (1 / replicas, "This is the share under round robin: the slow replica is then `slow` times as busy."),
        (1 / slow, "This is the slow replica's speed relative to a fast one. All shares must add up to 1."),
        (1 / (slow * replicas), "With this share the slow replica is less busy than the others."),
        (100 * _fair_share(slow, replicas), "A share is between 0 and 1. Yours seems to be a percentage."),
        (1 - _fair_share(slow, replicas), "This is the share of all fast replicas together."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-3:
            return text
    if not 0 < given < 1:
        return "A share is between 0 and 1."
    ratio = given * slow / ((1 - given) / (replicas - 1))
    return (
        f"With this share the slow replica is {ratio:.2g} times as busy as each of the others, not equally."
    )


fair_share = Exercise(
    _examine_fair_share,
    hints=[
        "a replica gets the share `p` of the requests. Its utilisation is proportional to `p` times its "
        "service time. Which products must be equal?",
        "let each fast replica get `f`. The slow replica is equally busy if it gets `f / slow`. "
        "All shares add up to 1.",
        "`(replicas - 1) * f + f / slow = 1`. Solve this for `f`, and return `f / slow`.",
    ],
    why=(
        "Equal utilisation means that share times service time is equal for all replicas. If one replica "
        "of four is three times slower, its fair share is 10 %.\n"
        "Compare this with the share that `least_requests` gave it above. It is close, although the balancer "
        "knows no speeds. The reason is that outstanding requests pile up at a slow replica.\n"
        "`least_requests` gave it a little more than the fair share: equal queues are not equal waits."
    ),
)
"""Which share of the requests makes one slow replica as busy as each of the others?"""
