"""The exercise of lesson 7: how much the door may take before one service is too busy."""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(0.3, 8, 0.06, 0.8), (1.0, 4, 0.02, 0.5), (0.05, 1, 1.0, 0.9), (0.5, 16, 0.2, 0.6)]
"""Share of the service, slots, seconds of work, busy share; the first case has the numbers of the lesson."""


def _most(share: float, slots: int, work_s: float, busy: float) -> float:
    return busy * slots / (work_s * share)


def _examine(answer: Any) -> str:
    for case in _CASES:
        given = returned(answer, case, "a number of requests per second")
        if abs(given - _most(*case)) > 1e-6 * _most(*case):
            names = ("share", "slots", "work_s", "busy")
            said = ", ".join(f"{name} = {value:g}" for name, value in zip(names, case, strict=True))
            return f"{_mistake(given, *case)} (It returns {given:.4g} for {said}.)"
    return ""


def _mistake(given: float, share: float, slots: int, work_s: float, busy: float) -> str:
    """The mistake that probably led to a wrong rate, or its effect."""
    right = _most(share, slots, work_s, busy)
    known: list[tuple[float, str]] = [
        (
            right * share,
            "This is the rate at the service. The door gets more: only a share goes there.",
        ),
        (right / busy, "At this rate all slots are busy, and the queue grows without end."),
        (right * share / busy, "This is all that the service can serve. Use `busy`, and the share, too."),
        (right * share * share, "Divide by the share: the door gets *more* requests than the service."),
        (right / slots, "This is for one slot."),
        (right / 1e3, "The work is given in seconds, not in milliseconds."),
        (1e3 * right, "The work is given in seconds, not in milliseconds."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6 * right:
            return text
    if given <= 0:
        return "At this rate no request comes at all."
    load = min(given * share * work_s / slots, 1e300)
    return f"At this rate the share {load:.3g} of the service's slots would be busy (above 1: overloaded)."


door_limit = Exercise(
    _examine,
    hints=[
        "begin at the service: with which rate is the share `busy` of its `slots` busy, if each request "
        "takes `work_s`?",
        "the utilisation law: `busy = rate * work_s / slots`, where `rate` is that of the service. Solve it "
        "for `rate`.",
        "the service may get `busy * slots / work_s`. The door gets `1 / share` times as much.",
    ],
    why=(
        "With 30 % of the requests for a cart that needs 60 ms in 8 slots, the door may get 356 requests per "
        "second. The cart's rate counts, and only its rules at the door decide what that is: a rule that "
        "takes more than it should fills the wrong service.\n"
        "The other services do not appear in this formula at all. That is what one door for many services "
        "promises, as long as the door itself has time."
    ),
)
"""How many requests per second may come to the door before one service is too busy?"""
