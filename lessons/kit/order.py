"""An order of variants that does not pretend: it separates only those that can be told apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twin.confirm.conclusion import in_order, labels_in_order
from twin.confirm.outcome import Confirmation


@dataclass(frozen=True)
class Order:
    """Names, best first, and which of them can be told apart.

    Attributes
    ----------
    names : tuple of str
        Best first.
    apart : frozenset of frozenset of str
        The pairs whose difference is larger than its uncertainty.
    """

    names: tuple[str, ...]
    apart: frozenset[frozenset[str]]

    @classmethod
    def where(cls, names: Sequence[str], decided: Callable[[str, str], bool]) -> Order:
        """An order in which `decided` says of two names whether they can be told apart."""
        pairs = (pair for pair in itertools.combinations(names, 2) if decided(*pair))
        return cls(tuple(names), frozenset(map(frozenset, pairs)))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs that can be told apart, the better one first."""
        return [pair for pair in itertools.combinations(self.names, 2) if frozenset(pair) in self.apart]

    def __str__(self) -> str:
        if not self.apart:
            return "cannot be told apart"
        return in_order(self.names, self.apart)


def measured_order(found: Confirmation, metric: str = "p99_ms") -> Order:
    """The variants of a confirmation, best first; of a void run, no two can be told apart."""
    names, apart = labels_in_order(found, metric)
    return Order(tuple(names), frozenset() if found.void else apart)
