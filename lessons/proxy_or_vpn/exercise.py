"""The exercise of lesson 11: on how many wires is the content in the clear?"""

from __future__ import annotations

from typing import Any

from lessons.kit.exercise import Exercise, returned

_CASES = [(4, 2, 0), (4, 2, 4), (4, 0, 2), (6, 3, 5), (5, 4, 2), (3, 0, 0)]
"""Wires, stop where the VPN ends, stop where TLS ends; the first is a VPN without TLS."""


def _clear(wires: float, vpn_end: float, tls_end: float) -> float:
    return wires - max(vpn_end, tls_end)


def _examine(answer: Any) -> str:
    for case in _CASES:
        given = returned(answer, case, "a number of wires")
        if given != _clear(*case):
            names = ("wires", "vpn_end", "tls_end")
            said = ", ".join(f"{name} = {value}" for name, value in zip(names, case, strict=True))
            return f"{_mistake(given, *case)} (It returns {given:g} for {said}.)"
    return ""


def _mistake(given: float, wires: int, vpn_end: int, tls_end: int) -> str:
    """The mistake that probably led to a wrong number, or its effect."""
    known: list[tuple[float, str]] = [
        (max(vpn_end, tls_end), "These are the wires on which the content is hidden."),
        (wires - vpn_end, "TLS hides the content, too, as far as it goes."),
        (wires - tls_end, "The VPN hides the content, too, as far as it goes."),
        (wires - vpn_end - tls_end, "Both begin at the client, so they cover the same wires first."),
        (0, "No encryption reaches that far."),
    ]
    for value, text in known:
        if given == value:
            return text
    if not 0 <= given <= wires:
        return f"There are {wires} wires."
    return "Count the wires that neither encryption covers."


clear_wires = Exercise(
    _examine,
    hints=[
        "draw the stops in a row, and a line for each encryption from the client to the stop where it ends.",
        "an encryption that ends at stop `n` covers the first `n` wires. Which of the two covers more?",
        "the longer one covers all that the shorter one covers: `max(vpn_end, tls_end)` wires are hidden.",
    ],
    why=(
        "Two encryptions do not add up: they begin at the same place, so only the longer one counts. A VPN "
        "ends at its provider. TLS ends at the site, or at whoever ends it before: an intercepting proxy of "
        "your company, or a reverse proxy that the site has chosen.\n"
        "So for the content it is TLS that matters. The VPN adds names and addresses, and the other "
        "programs."
    ),
)
"""On how many wires can an observer read the content?"""
