"""TinyLFU: the more popular object stays."""

from __future__ import annotations

from collections.abc import Hashable

from policies.admission.base import Admission, admission_policy
from policies.eviction.popularity import Popularity


@admission_policy("tinylfu")
class TinyLfu(Admission):
    """Admit an object if it was asked for more often lately than every object that must be evicted for it.

    Works with every eviction policy, which chooses those objects. Amortised constant cost.
    G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM
    Transactions on Storage 13(4), 2017. `policies.eviction.Popularity` counts the requests.
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
