"""An eviction policy behind an admission policy; the pair is an eviction policy again."""

from __future__ import annotations

from collections.abc import Hashable

from policies.admission.base import Admission
from policies.contract import verdict
from policies.eviction import EvictionPolicy


class Gated(EvictionPolicy):
    """`policy` decides what is evicted, `admission` what may enter.

    If the admission policy duels, the victims for a new object are chosen before it is admitted. They
    stay stored, in `_victims`, while new objects are worth less. A victim that is asked for
    returns to `policy` as if it were new. So do all victims of an object that is worth less and needs the
    room of several, so that one popular victim does not turn away every object after it.

    Parameters
    ----------
    policy : EvictionPolicy
        Still empty; its capacity counts.
    admission : Admission
    """

    def __init__(self, policy: EvictionPolicy, admission: Admission) -> None:
        super().__init__(policy.capacity, rng=policy.rng)
        self.policy = policy
        self.objects = policy.objects
        self.admission = admission
        self._victims: dict[Hashable, None] = {}

    def insert(self, key: Hashable, size: int, now: float) -> list[Hashable]:
        stored = key in self
        if not stored:
            self.admission.asked(key, len(self))
        if size <= self.capacity and not (
            self._may_enter(key, size, stored) and (stored or self._wins(key, size, now))
        ):
            self.remove(key)
            return [key]
        self._restore(key, now)
        return super().insert(key, size, now)

    def touch(self, key: Hashable, now: float) -> None:
        self.admission.asked(key, len(self))
        if key in self._victims:
            self._restore(key, now)
        else:
            self.policy.touch(key, now)

    def _may_enter(self, key: Hashable, size: int, stored: bool) -> bool:
        return verdict(self.admission, "admits", self.admission.admits(key, size, stored))

    def _outweighs(self, key: Hashable, victims: list[Hashable]) -> bool:
        return verdict(self.admission, "outweighs", self.admission.outweighs(key, victims))

    def _announce(self, key: Hashable, size: int) -> bool | None:
        return self.policy._announce(key, size)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self.policy._store(key, size, now)

    def _resize(self, key: Hashable, growth: int) -> None:
        self.policy._change_size(key, self._sizes[key])

    def _evict(self, now: float) -> Hashable:
        if not self._victims:
            return self.policy._drop(now)
        key = next(iter(self._victims))
        del self._victims[key]
        return key

    def _forget(self, key: Hashable) -> None:
        if key in self._victims:
            del self._victims[key]
        else:
            self.policy.remove(key)

    def _restore(self, key: Hashable, now: float) -> None:
        """Return the victim `key` to the policy; there is room for it."""
        if key in self._victims:
            del self._victims[key]
            self.policy.insert(key, self._sizes[key], now)

    def _wins(self, key: Hashable, size: int, now: float) -> bool:
        """Whether the new `key` is worth more than the objects that must be evicted for it."""
        if not self.admission.duels:
            return True
        needed = self.used + size - self.capacity
        if needed <= 0 and len(self) < self.objects:
            return True
        victims = self._victims_for(0, now)
        wins = self._outweighs(key, victims)
        if self._sizes[victims[0]] >= needed:
            return wins
        if wins:
            victims = self._victims_for(needed, now)
            wins = self._outweighs(key, victims)
        if not wins:
            for victim in victims:
                self._restore(victim, now)
        return wins

    def _victims_for(self, needed: int, now: float) -> list[Hashable]:
        """A victim, or as many as make room for so many bytes, old ones first; the policy chooses others."""
        victims: list[Hashable] = []
        for victim in self._victims:
            if needed <= 0 and victims:
                return victims
            victims.append(victim)
            needed -= self._sizes[victim]
        while needed > 0 or not victims:
            victim = self.policy._drop(now)
            self._victims[victim] = None
            victims.append(victim)
            needed -= self._sizes[victim]
        return victims
