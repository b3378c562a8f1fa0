"""The exercise of lesson 4: the hit ratio of a cache behind another cache."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(0.18, 0.63), (0.0, 0.5), (0.5, 0.5), (0.3, 0.9), (0.4, 0.46)]
"""Hit ratio of the browsers' caches, and of both together; the first case has the numbers of the lesson."""


def _ratio_behind(own: float, together: float) -> float:
    return (together - own) / (1 - own)


def _examine(answer: Any) -> str:
    for own, together in _CASES:
        given = returned(answer, (own, together), "a number, the hit ratio at the proxy")
        if abs(given - _ratio_behind(own, together)) > 1e-6:
            shown = f" (It returns {given:.4g} for own = {own:g} and together = {together:g}.)"
            return _mistake(given, own, together) + shown
    return ""


def _mistake(given: float, own: float, together: float) -> str:
    """The mistake that probably led to a wrong ratio."""
    known: list[tuple[float, str]] = [
        (together, "This is the ratio of both together. The proxy never sees the hits of the browsers."),
        (together - own, "This is the proxy's share of *all* requests. It only gets the browsers' misses."),
        ((together - own) / together if together else math.nan, "This is the proxy's share of all hits."),
        ((together - own) / own if own else math.nan, "Do not divide by the requests that it does not get."),
        ((1 - together) / (1 - own), "This is the miss ratio at the proxy."),
        (
            100 * _ratio_behind(own, together),
            "A hit ratio is between 0 and 1. Yours seems to be a percentage.",
        ),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    if not 0 <= given <= 1:
        return "A hit ratio is between 0 and 1."
    return f"Then both together would serve {own + (1 - own) * given:.0%} of the requests."


ratio_behind = Exercise(
    _examine,
    hints=[
        "take 100 requests. How many does a browser serve from its cache, and how many reach the proxy?",
        "of 100 requests, `100 * (1 - own)` reach the proxy, and browsers and proxy together serve "
        "`100 * together`. How many of these does the proxy serve?",
        "the proxy serves the share `together - own` of all requests, and gets the share `1 - own`. Divide.",
    ],
    why=(
        "A cache behind another one gets only the misses of the first, so the easy hits are already gone. "
        "That is why the proxy's log makes it look worse than it is for its users. The better the browsers "
        "cache, the worse it looks.\n"
        "The same is true for any chain of caches: an edge cache and its shield, or the first and the second "
        "level cache of a processor."
    ),
)
"""Which hit ratio does the proxy's log show if the browsers have caches, too?"""
