"""The exercise of lesson 10: what reaches the origin when one shield has lost its store."""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(1000.0, 0.4, 0.7, 4), (300.0, 0.5, 0.25, 1), (5000.0, 0.0, 0.9, 10), (80.0, 0.8, 0.5, 2)]
"""Requests per second, hit ratios of the edges and of a shield, shields; the first case is in the text."""


def _reaching(rate: float, edge: float, shield: float, shields: int) -> float:
    return rate * (1 - edge) * (1 - shield * (shields - 1) / shields)


def _examine(answer: Any) -> str:
    for case in _CASES:
        given = returned(answer, case, "a number of requests per second")
        if abs(given - _reaching(*case)) > 1e-6 * _reaching(*case):
            names = ("rate", "edge", "shield", "shields")
            said = ", ".join(f"{name} = {value:g}" for name, value in zip(names, case, strict=True))
            return f"{_mistake(given, *case)} (It returns {given:.4g} for {said}.)"
    return ""


def _mistake(given: float, rate: float, edge: float, shield: float, shields: int) -> str:
    """The mistake that probably led to a wrong rate, or its effect."""
    right, passed, cold = _reaching(rate, edge, shield, shields), rate * (1 - edge), 1 / shields
    known: list[tuple[float, str]] = [
        (passed * (1 - shield), "This is the rate while all shields are warm. One of them has nothing."),
        (passed, "This is what all shields together are asked for. Most of them still answer something."),
        (rate * (1 - shield * (1 - cold)), "The edges answer their share first: use `edge`, too."),
        (
            rate * (1 - edge - shield * (1 - cold)),
            "`shield` is the share of the requests that the shield *sees*, not of all requests.",
        ),
        (passed * cold, "This is what the cold shield alone asks for. The warm ones have misses, too."),
        (passed * (1 - shield) * (1 - cold), "This is what the warm shields ask for. Add the cold one."),
        (passed * (1 - shield * cold), "Here only one shield is warm. Only one is *cold*."),
        (right / rate, "This is a share of the requests. Multiply by `rate`."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6 * right:
            return text
    if given > rate:
        return "The origin gets more than all clients together ask for."
    if given <= 0:
        return "The origin gets nothing. But at least the cold shield must ask it."
    return f"So the share {given / rate:.3g} of all requests would reach the origin."


cold_shield = Exercise(
    _examine,
    hints=[
        "go the way of a request: which share passes the edges? Which of those find a shield that is cold?",
        "`rate * (1 - edge)` requests reach the shields. The paths are spread evenly: `1 / shields` of them "
        "belong to the cold one, which answers nothing.",
        "the warm shields are asked for the share `1 - 1 / shields`, and answer `shield` of that. All else "
        "reaches the origin.",
    ],
    why=(
        "With 1,000 requests per second, edges that answer 40 %, and four shields that answer 70 % of what "
        "they see, the origin gets 180 requests per second, and 285 while one shield is cold. That is 58 % "
        "more.\n"
        "By turns, a cold shield would do less harm: the others have copies. Hashing buys room, and pays "
        "with copies."
    ),
)
"""How many requests per second reach the origin while one of several shields is cold?"""
