"""The exercise of the lesson on forward proxies: what is left for a cache behind another one."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, Unanswered

_CASES = [(0.18, 0.63), (0.0, 0.5), (0.5, 0.5), (0.3, 0.9), (0.4, 0.46)]
"""Hit ratio of the browsers' own caches, and of both together; the first is the lesson's own."""


def _ratio_behind(own: float, together: float) -> float:
    return (together - own) / (1 - own)


def _examine(answer: Any) -> str:
    if not callable(answer):
        raise Unanswered
    for own, together in _CASES:
        given = answer(own, together)
        if given is None or given is ...:
            raise Unanswered
        if not isinstance(given, (int, float)) or isinstance(given, bool) or not math.isfinite(given):
            return f"Your function returns {given!r}; expected a number, the hit ratio at the proxy."
        if abs(given - _ratio_behind(own, together)) > 1e-6:
            shown = f" (It returns {given:.4g} for own = {own:g} and together = {together:g}.)"
            return _mistake(float(given), own, together) + shown
    return ""


def _mistake(given: float, own: float, together: float) -> str:
    """How a wrong ratio seems to have come about."""
    known: list[tuple[float, str]] = [
        (together, "That is what both do together. The proxy never sees what a browser has answered itself."),
        (together - own, "That is the proxy's share of *all* requests; it only gets those that are left."),
        ((together - own) / together if together else math.nan, "That is the proxy's share of all hits."),
        ((together - own) / own if own else math.nan, "Divided by the requests that it does not get."),
        ((1 - together) / (1 - own), "That is the miss ratio at the proxy."),
        (100 * _ratio_behind(own, together), "A hit ratio lies between 0 and 1; yours looks like per cent."),
    ]
    for value, text in known:
        if abs(given - value) < 1e-6:
            return text
    if not 0 <= given <= 1:
        return "A hit ratio lies between 0 and 1."
    return f"Then both together would answer {own + (1 - own) * given:.0%} of the requests."


ratio_behind = Exercise(
    _examine,
    hints=[
        "take 100 requests. How many does a browser answer from its own cache, and how many are left "
        "for the proxy?",
        "of 100 requests `100 * (1 - own)` reach the proxy, and `100 * together` are answered by one of "
        "the two. How many of these by the proxy?",
        "the proxy answers `together - own` of all requests, and gets `1 - own` of them. Divide.",
    ],
    why=(
        "A cache behind another one gets what that one could not answer: never an easy repetition. So a "
        "proxy's own log makes it look worse than it is for its users, and more so the better browsers "
        "cache.\nThe same holds for any chain: an edge cache before a shield, a processor's second level "
        "behind its first."
    ),
)
"""Which hit ratio does the proxy's own log show, if the browsers have caches too?"""
