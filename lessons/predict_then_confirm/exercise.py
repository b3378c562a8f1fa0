"""The lessons' exercises: what is asked, which mistakes are known, which hints help."""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, Unanswered

_CASES = [(3.0, 4), (1.0, 4), (2.0, 2), (8.0, 10)]
"""Slowness and number of replicas; the first is the lesson's own."""


def _fair_share(slow: float, replicas: int) -> float:
    return (1 / slow) / (replicas - 1 + 1 / slow)


def _examine_fair_share(answer: Any) -> str:
    if not callable(answer):
        raise Unanswered
    for slow, replicas in _CASES:
        given = answer(slow, replicas)
        if given is None or given is ...:
            raise Unanswered
        if not isinstance(given, (int, float)) or isinstance(given, bool):
            return f"Your function returns {given!r}; expected a number, the share."
        right = _fair_share(slow, replicas)
        if abs(given - right) > 1e-3:
            return _mistake(float(given), slow, replicas) + _shown(float(given), slow, replicas)
    return ""


def _shown(given: float, slow: float, replicas: int) -> str:
    return f" (It returns {given:.4g} for slow = {slow:g} and {replicas} replicas.)"


def _mistake(given: float, slow: float, replicas: int) -> str:
    """What a wrong share would do, or how it seems to have come about."""
    if (slow, replicas) != _CASES[0]:
        return "Right for the lesson's own replicas, but not for others: use both parameters."
    known: list[tuple[float, str]] = [
        (1 / replicas, "That is what round robin does: the slow replica is then `slow` times as busy."),
        (1 / slow, "That is how much the slow replica can do beside one fast one; the shares must sum to 1."),
        (1 / (slow * replicas), "A share of that size leaves the slow replica less busy than the others."),
        (100 * _fair_share(slow, replicas), "A share lies between 0 and 1; yours looks like per cent."),
        (1 - _fair_share(slow, replicas), "That is the share of all fast replicas together."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-3:
            return text
    if not 0 < given < 1:
        return "A share lies between 0 and 1."
    ratio = given * slow / ((1 - given) / (replicas - 1))
    return (
        f"With this share the slow replica is {ratio:.2g} times as busy as each of the others, not equally."
    )


fair_share = Exercise(
    _examine_fair_share,
    hints=[
        "a replica that gets the share `p` of the requests is busy in proportion to `p` times its "
        "service time. Which products must be equal?",
        "let each fast replica get `f`. The slow one is equally busy if it gets `f / slow`. "
        "All shares together are 1.",
        "`(replicas - 1) * f + f / slow = 1`. Solve it for `f`, and return `f / slow`.",
    ],
    why=(
        "Equal utilisation means that share times service time is the same everywhere. With one replica "
        "of four that is three times slower, its fair share is 10 %.\n"
        "Compare it with the share that `least_requests` gave it above: near, though no one told the "
        "balancer any speed. Outstanding requests pile up where work is slow, and so they carry the news.\n"
        "It gave a little more than the fair share: equal queues are not equal waits."
    ),
)
"""What share of the requests makes one slow replica as busy as each of the others?"""
