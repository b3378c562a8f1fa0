"""The exercise of lesson 6: how long a response must be fresh for a wanted hit ratio."""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(2.0, 0.2, 0.9), (0.5, 0.1, 0.5), (10.0, 0.2, 0.99), (0.1, 1.0, 0.75)]
"""Requests per second, seconds of a fetch, hit ratio; the first case has the numbers of the lesson."""


def _needed(rate: float, fetch_s: float, hits: float) -> float:
    return hits / ((1 - hits) * rate) - fetch_s


def _examine(answer: Any) -> str:
    for rate, fetch_s, hits in _CASES:
        given = returned(answer, (rate, fetch_s, hits), "a number of seconds")
        if abs(given - _needed(rate, fetch_s, hits)) > 1e-6:
            shown = f" (It returns {given:.4g} for rate = {rate:g}, fetch_s = {fetch_s:g}, hits = {hits:g}.)"
            return _mistake(given, rate, fetch_s, hits) + shown
    return ""


def _mistake(given: float, rate: float, fetch_s: float, hits: float) -> str:
    """The effect of a wrong lifetime, or the mistake that probably led to it."""
    right = _needed(rate, fetch_s, hits)
    cycle = 1 / ((1 - hits) * rate)
    first = "The first request of a cycle is not a hit: λ(T + D) of the 1 + λ(T + D) requests are hits."
    known: list[tuple[float, str]] = [
        (right + fetch_s, "This is T + D. A request that waits for the fetch is a hit, too: subtract D."),
        (right + 2 * fetch_s, "The time of the fetch has the wrong sign."),
        (1e3 * right, "This seems to be in milliseconds; max-age is in seconds."),
        (
            hits / (1 - hits),
            "This is the number of hits in a cycle. How long do these requests take to come?",
        ),
        (cycle, first),
        (cycle - fetch_s, first),
        ((1 - hits) / (hits * rate) - fetch_s, "This is upside down: more hits need a longer lifetime."),
        (hits / rate, "Hits are not proportional to the lifetime: they approach 1 more and more slowly."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    asked = rate * (given + fetch_s)
    if asked <= 0:
        return "With this lifetime the response expires before it arrives."
    return f"With this lifetime the share of hits would be {1 - 1 / (1 + asked):.3g}."


lifetime_needed = Exercise(
    _examine,
    hints=[
        "a cycle has 1 + λ(T + D) requests. One of them fetches, all others are hits. Which share is that?",
        "write `n` for λ(T + D). The hit ratio is `n / (1 + n)`. Solve this for `n` first.",
        "`n = hits / (1 - hits)`, and `n = rate * (T + fetch_s)`. Solve the second for `T`.",
    ],
    why=(
        "From 90 % to 99 % of hits the lifetime must grow eleven times, because the share of misses falls "
        "as 1 / λT. The last hits are the most expensive ones, as with capacity.\n"
        "The formula needs the rate of each *object*. A page that is requested once per hour is hardly ever "
        "a hit, no matter how many requests the whole site gets."
    ),
)
"""How many seconds must a response be fresh for a wanted hit ratio, with coalescing?"""
