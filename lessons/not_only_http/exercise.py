"""The exercise of lesson 5: how many requests must share a connection before its setup hardly matters?"""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, Unanswered
from lessons.not_only_http.tunnel_model import converse

_CASES = [(60.0, 20.0, 2, 0.1), (60.0, 20.0, 1, 0.1), (100.0, 0.0, 3, 0.05), (10.0, 190.0, 2, 0.25)]
"""Round trips to the proxy and on to the server, exchanges of the setup, the share that is allowed."""


def _enough(client_ms: float, server_ms: float, setup: int, share: float) -> int:
    exact = setup * client_ms * (1 - share) / (share * (client_ms + server_ms))
    return max(1, math.ceil(exact - 1e-9))


def _examine(answer: Any) -> str:
    if not callable(answer):
        raise Unanswered
    for case in _CASES:
        given = answer(*case)
        if given is None or given is ...:
            raise Unanswered
        if not isinstance(given, (int, float)) or isinstance(given, bool):
            return f"Your function returns {given!r}; expected a number of requests."
        if given != _enough(*case):
            return _mistake(float(given), *case)
    return ""


def _mistake(given: float, client_ms: float, server_ms: float, setup: int, share: float) -> str:
    right = _enough(client_ms, server_ms, setup, share)
    asked = f"{client_ms:g} ms, {server_ms:g} ms, {setup} exchanges, share {share:g}"
    if (client_ms, server_ms, setup, share) != _CASES[0]:
        return f"Right for the lesson's own numbers, but not for {asked}: it returns {given:g}."
    exact = setup * client_ms * (1 - share) / (share * (client_ms + server_ms))
    if abs(given - exact) < 1e-6:
        return f"{given:g} requests: the formula is right. But there are no parts of requests: round up."
    if given == math.ceil(setup * client_ms / (share * (client_ms + server_ms))):
        return "That compares the setup with the requests alone; the share is of everything, setup included."
    if given < right:
        spent = (
            setup * client_ms / (setup * client_ms + given * (client_ms + server_ms)) if given > 0 else 1.0
        )
        return f"With {given:g} requests the setup still takes {100 * spent:.0f} % of the time ({asked})."
    return f"{given:g} are enough, but fewer are, too ({asked})."


def setup_share(way: str, client_ms: float, server_ms: float, requests: int) -> float:
    """The share of a simulated connection's time that its setup takes."""
    total = converse(way, client_ms, server_ms, requests).answers[-1]
    return 1 - requests * (client_ms + server_ms) / total


enough_requests = Exercise(
    _examine,
    hints=[
        "the setup takes `setup * client_ms`, once. What does each request take?",
        "`k` requests take `k * (client_ms + server_ms)`. The setup's share of everything must be at most "
        "`share`.",
        "`setup * client_ms <= share * (setup * client_ms + k * (client_ms + server_ms))`. "
        "Solve it for `k`, and round up with `math.ceil`.",
    ],
    why=(
        "The setup is paid once a connection, so what counts is how many requests share it: with SOCKS5 over "
        "60 and 20 ms, 14 are enough to bring it below a tenth.\n"
        "That is why connection pools and keep-alive matter more, the farther a proxy is away."
    ),
)
"""How many requests must share a connection, so that its setup takes at most a given share of the time?"""
