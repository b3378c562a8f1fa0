"""TinyLFU: the more popular object stays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from policies.admission.base import Admission, admission_policy
from policies.eviction.popularity import Popularity


@admission_policy("tinylfu")
class TinyLfu(Admission):
    """Admit an object if it was asked for more often lately than all that must be evicted for it together.

    Works with every eviction policy, which chooses those objects. Amortised constant cost.
    G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM
    Transactions on Storage 13(4), 2017; G. Einziger, O. Eytan, R. Friedman, B. Manes, "Lightweight robust
    size aware cache management", ACM Transactions on Storage 18(3), 2022, adds up the requests if one
    object displaces many. `policies.eviction.Popularity` counts them.
    """

    duels = True

    def __init__(self, capacity: int, argument: str | None = None) -> None:
        super().__init__(capacity, argument)
        self._popularity = Popularity()

    def asked(self, key: Hashable, stored: int) -> None:
        self._popularity.add(key, stored)

    def admits(self, key: Hashable, size: int, stored: bool) -> bool:
        return True

    def prefers(self, key: Hashable, victim: Hashable) -> bool:
        return self._popularity[key] > self._popularity[victim]

    def outweighs(self, key: Hashable, victims: Sequence[Hashable]) -> bool:
        popularity = self._popularity
        return popularity[key] > sum([popularity[victim] for victim in victims])
