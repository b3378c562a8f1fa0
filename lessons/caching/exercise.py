"""The exercise of the lesson on caching: how long an answer must be fresh for a wanted hit ratio."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, Unanswered

_CASES = [(2.0, 0.2, 0.9), (0.5, 0.1, 0.5), (10.0, 0.2, 0.99), (0.1, 1.0, 0.75)]
"""Requests per second, seconds of a fetch, hit ratio; the first is the lesson's own."""


def _needed(rate: float, fetch_s: float, hits: float) -> float:
    return hits / ((1 - hits) * rate) - fetch_s


def _examine(answer: Any) -> str:
    if not callable(answer):
        raise Unanswered
    for rate, fetch_s, hits in _CASES:
        given = answer(rate, fetch_s, hits)
        if given is None or given is ...:
            raise Unanswered
        if not isinstance(given, (int, float)) or isinstance(given, bool) or not math.isfinite(given):
            return f"Your function returns {given!r}; expected a number of seconds."
        if abs(given - _needed(rate, fetch_s, hits)) > 1e-6:
            shown = f" (It returns {given:.4g} for rate = {rate:g}, fetch_s = {fetch_s:g}, hits = {hits:g}.)"
            return _mistake(float(given), rate, fetch_s, hits) + shown
    return ""


def _mistake(given: float, rate: float, fetch_s: float, hits: float) -> str:
    """What a wrong lifetime would do, or how it seems to have come about."""
    right = _needed(rate, fetch_s, hits)
    cycle = 1 / ((1 - hits) * rate)
    first = "The first of a cycle is no hit: λ(T + D) requests are, of 1 + λ(T + D)."
    known: list[tuple[float, str]] = [
        (right + fetch_s, "That is T + D, a fetch and what follows it: who waits is a hit, too."),
        (right + 2 * fetch_s, "The fetch's time has the wrong sign."),
        (1e3 * right, "That looks like milliseconds; max-age counts seconds."),
        (hits / (1 - hits), "So many requests must find it; how long does it take until they have come?"),
        (cycle, first),
        (cycle - fetch_s, first),
        ((1 - hits) / (hits * rate) - fetch_s, "Upside down: more hits need a longer lifetime."),
        (hits / rate, "Hits are not proportional to the lifetime: they approach 1 ever more slowly."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    asked = rate * (given + fetch_s)
    if asked <= 0:
        return "With that the answer would have expired before it is there."
    return f"With that lifetime {asked / (1 + asked):.3g} of the requests would be hits."


lifetime_needed = Exercise(
    _examine,
    hints=[
        "in a cycle 1 + λ(T + D) requests come: one fetches, all others are hits. Which share is that?",
        "write `n` for λ(T + D). The hit ratio is `n / (1 + n)`; solve it for `n` first.",
        "`n = hits / (1 - hits)`, and `n = rate * (T + fetch_s)`. Solve the second for `T`.",
    ],
    why=(
        "From 90 % to 99 % of hits the lifetime must grow eleven times: what is left over goes down as "
        "1 / λT. The last hits are the dearest, as with room.\n"
        "It needs the rate of each *object*: a page that is asked for once an hour is hardly ever a hit, "
        "whatever the rate of the whole site is."
    ),
)
"""How many seconds of freshness make a wanted share of hits, with coalescing?"""
