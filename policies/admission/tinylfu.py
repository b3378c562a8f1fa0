"""TinyLFU: the more popular one stays."""

from __future__ import annotations

from collections.abc import Hashable

from policies.admission.base import Admission, admission_policy
from policies.eviction.popularity import Popularity


@admission_policy("tinylfu")
class TinyLfu(Admission):
    """Admit what was asked for more often lately than each object that would have to go for it.

    Works before any eviction policy, which names the objects that would go. Amortised constant
    cost. G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly efficient cache admission policy",
    ACM Transactions on Storage 13(4), 2017; how it counts: `policies.eviction.Popularity`.
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
