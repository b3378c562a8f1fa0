"""The exercise of lesson 5: how many requests must share a connection before its setup hardly matters."""

from __future__ import annotations

import math
from typing import Any

from lessons.kit.exercise import Exercise, returned
from lessons.not_only_http.tunnel_model import converse

_CASES = [(60.0, 20.0, 2, 0.1), (60.0, 20.0, 1, 0.1), (100.0, 0.0, 3, 0.05), (10.0, 190.0, 2, 0.25)]
"""Round trips client to proxy and proxy to server, exchanges of the setup, the largest allowed share."""


def _enough(client_ms: float, server_ms: float, setup: int, share: float) -> int:
    exact = setup * client_ms * (1 - share) / (share * (client_ms + server_ms))
    return max(1, math.ceil(exact - 1e-9))


def _examine(answer: Any) -> str:
    for case in _CASES:
        given = returned(answer, case, "a number of requests")
        if given != _enough(*case):
            return _mistake(given, *case)
    return ""


def _mistake(given: float, client_ms: float, server_ms: float, setup: int, share: float) -> str:
    right = _enough(client_ms, server_ms, setup, share)
    asked = f"{client_ms:g} ms, {server_ms:g} ms, {setup} exchanges, share {share:g}"
    if (client_ms, server_ms, setup, share) != _CASES[0]:
        return f"Right for the numbers of this lesson, but not for {asked}: it returns {given:g}."
    exact = setup * client_ms * (1 - share) / (share * (client_ms + server_ms))
    if abs(given - exact) < 1e-6:
        return (
            f"{given:g} requests: the formula is right, but a number of requests is a whole number: round up."
        )
    if given == math.ceil(setup * client_ms / (share * (client_ms + server_ms))):
        return "This compares the setup with the requests alone. Use the total time, setup included."
    if given < right:
        spent = (
            setup * client_ms / (setup * client_ms + given * (client_ms + server_ms)) if given > 0 else 1.0
        )
        return f"With {given:g} requests the setup still takes {100 * spent:.0f} % of the time ({asked})."
    return f"{given:g} requests are enough, but fewer are enough, too ({asked})."


def setup_share(way: str, client_ms: float, server_ms: float, requests: int) -> float:
    """The setup's share of the total time of a simulated connection."""
    total = converse(way, client_ms, server_ms, requests).answers[-1]
    return 1 - requests * (client_ms + server_ms) / total


enough_requests = Exercise(
    _examine,
    hints=[
        "the setup takes `setup * client_ms`, once. What does each request take?",
        "`k` requests take `k * (client_ms + server_ms)`. The setup's share of the total time must be at "
        "most `share`.",
        "`setup * client_ms <= share * (setup * client_ms + k * (client_ms + server_ms))`. "
        "Solve this for `k`, and round up with `math.ceil`.",
    ],
    why=(
        "Each connection needs the setup once, so its share depends on the number of requests. With SOCKS5 "
        "and round trips of 60 and 20 ms, 14 requests bring the share below a tenth.\n"
        "That is why connection pools and keep-alive are more important if the proxy is far away."
    ),
)
"""How many requests must share a connection so that its setup takes at most a given share of the time?"""
