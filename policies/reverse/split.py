"""The split of a route's requests among several services: its arms."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate
from math import inf, log

LEAST_WEIGHT, MOST_WEIGHT = 1e-9, 1e9
"""Of a weight above 0. Beyond them, sums and quotients of weights would lose their digits."""


def check_weight(weight: float) -> float:
    """Return a weight that a split can have; raise `ValueError` if it cannot (for pydantic)."""
    if weight != 0.0 and not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise ValueError(
            f"expected a weight of 0, or from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, not {weight:g}"
        )
    return weight


class Split:
    """Sends requests to arms in proportion to their weights, by chance or by a key.

    By a key, each arm draws an exponential time with its weight as the rate, from the hash of key and arm,
    and the shortest time wins. So an arm's share is its weight over the sum of all. If an arm's weight rises,
    keys only move to it, and if it falls, keys only move away from it: users do not change arms without need.
    Weighted rendezvous hashing, D. Thaler, C. Ravishankar 1998, with the logarithm of C. Schindelhauer, G.
    Schomaker 2005.

    Parameters
    ----------
    weights : mapping of str to float
        The weight of each arm, 0 or more, not all 0.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.arms = tuple(weights)
        self.weights = tuple(float(weight) for weight in weights.values())
        self._total = sum(self.weights)
        self._sums = list(accumulate(self.weights))
        self._last = max(place for place, weight in enumerate(self.weights) if weight > 0.0)

    def share(self, arm: str) -> float:
        """The share of the requests that an arm gets."""
        return self.weights[self.arms.index(arm)] / self._total

    def with_share(self, arm: str, share: float) -> Split:
        """The split in which `arm` has this share, and the others divide the rest as before.

        If the others have no weight, they divide the rest in equal parts.
        """
        others = {name: weight for name, weight in zip(self.arms, self.weights, strict=True) if name != arm}
        total = sum(others.values())
        if not total:
            others, total = dict.fromkeys(others, 1.0), float(len(others))
        rest = {name: weight / total * (1.0 - share) for name, weight in others.items()}
        return Split({name: rest.get(name, share) for name in self.arms})

    def by_chance(self, chance: float) -> str:
        """The arm of a request without a key; `chance` is uniform in [0, 1)."""
        return self.arms[min(bisect(self._sums, chance * self._total), self._last)]

    def by_key(self, key: str, salt: str = "") -> str:
        """The arm of all requests with this key; another `salt` splits the same keys differently."""
        best, first = "", inf
        for arm, weight in zip(self.arms, self.weights, strict=True):
            if weight > 0.0:
                digest = blake2b(f"{salt}/{arm}/{key}".encode(), digest_size=8).digest()
                time = -log((int.from_bytes(digest) + 0.5) / 2.0**64) / weight
                if time < first:
                    best, first = arm, time
        return best
