"""Does a way fail open or closed? What others learn in a state beyond the connected one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from twin.exposure.vocabulary import Cell, Finding, Item, Observer

OTHERS = (Observer.LOCAL, Observer.NAMES, Observer.NETWORK, Observer.SITE)
"""Those from whom a proxy or VPN may hide something; its provider is not among them."""
_RANK = {Cell.UNSEEN: 0, Cell.DERIVABLE: 1, Cell.SEEN: 2}


class Verdict(StrEnum):
    """What a state changes."""

    SAME = "as connected"
    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True)
class Change:
    """A state beside the connected one.

    Parameters
    ----------
    verdict : Verdict
        Open: somebody learns more than when connected. Closed: nobody does, and no page came.
    leaks : dict of Observer to tuple of Item
        Who learns what in addition.
    """

    verdict: Verdict
    leaks: dict[Observer, tuple[Item, ...]]

    def __str__(self) -> str:
        said = "; ".join(f"{who}: {', '.join(items)}" for who, items in self.leaks.items())
        return f"{self.verdict}{f' ({said})' if said else ''}"


def change(found: Finding, connected: Finding) -> Change:
    """Compare a state with the connected one."""
    leaks = {}
    for observer in OTHERS:
        more = tuple(
            item for item in Item
            if _RANK[found.cells[observer, item]] > _RANK[connected.cells[observer, item]]
        )  # fmt: skip
        if more:
            leaks[observer] = more
    if leaks:
        return Change(Verdict.OPEN, leaks)
    return Change(Verdict.SAME if found.answered else Verdict.CLOSED, {})
