"""The exercise of lesson 8: how many users a cookie of the canary alone has collected."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(0.10, 10), (0.05, 50), (0.5, 1), (0.01, 200)]
"""The canary's share, and requests of each user; the first case has the numbers of the lesson."""


def _drifted(weight: float, requests: float) -> float:
    return 1 - (1 - weight) ** requests


def _examine(answer: Any) -> str:
    for weight, requests in _CASES:
        given = returned(answer, (weight, requests), "a number, the share of the users")
        if abs(given - _drifted(weight, requests)) > 1e-6:
            shown = f" (It returns {given:.4g} for weight = {weight:g} and requests = {requests}.)"
            return _mistake(given, weight, requests) + shown
    return ""


def _mistake(given: float, weight: float, requests: float) -> str:
    """The mistake that probably led to a wrong share."""
    right = _drifted(weight, requests)
    known: list[tuple[float, str]] = [
        (weight, "This is the share of the users after one request. Every further request draws again."),
        (weight * requests, "Chances of several draws do not add up: some users would be counted twice."),
        (1 - right, "This is the share of the users who have *not* met the canary yet."),
        (
            weight * (1 - weight) ** (requests - 1),
            "This is the share that meets the canary at exactly the last request. The others stay there.",
        ),
        (_drifted(weight, requests - 1), "This is the share before the last request."),
        (weight**requests, "This would need the canary in *every* draw. One is enough."),
        (100 * right, "A share is between 0 and 1. Yours seems to be a percentage."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    if not 0 <= given <= 1:
        return "A share is between 0 and 1."
    draws = math.log1p(-given) / math.log1p(-weight) if given < 1 else math.inf
    if math.isinf(draws):
        return "Some users are lucky: the share never quite reaches 1."
    return f"A user needs {draws:.3g} draws, not {requests}, to be there with this probability."


drifted_users = Exercise(
    _examine,
    hints=[
        "follow one user. What must happen at every request so that this user has *not* met the canary?",
        "one draw misses the canary with probability `1 - weight`. The draws are independent: with which "
        "probability do `requests` draws all miss it?",
        "all draws miss it with probability `(1 - weight) ** requests`. The share you want is the rest.",
    ],
    why=(
        "A cookie that only the canary sets is a trap: whoever has met the canary stays, and all others draw "
        "again at every request. With a weight of 5 %, 40.1 % of the users are there after 10 requests, and "
        "92.3 % after 50. The weight in the file says nothing any more about who is exposed.\n"
        "A hash of the user needs no memory. A higher weight only adds users to the canary, and a lower one "
        "only removes them."
    ),
)
"""Which share of the users is at the canary after some requests, if only the canary sets a cookie?"""
