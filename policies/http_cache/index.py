"""A cache's index: what is stored, how long it stays fresh, what must go.

Both twins ask this class whether a request is a hit. The real proxy keeps the stored answer as
the value, the simulator a mark. A value is never ``None``, which `lookup` says for a miss.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from policies.admission import Gated, build_admission
from policies.eviction import EvictionPolicy, eviction_policies

Value = TypeVar("Value")


class ObjectCache(Generic[Value]):
    """Objects with an age limit under an eviction policy.

    Parameters
    ----------
    eviction : EvictionPolicy
        Decides who must go; its capacity is this cache's.

    Attributes
    ----------
    touch : callable
        Counts a use of what `peek` has just found, of its key and the time.

    Notes
    -----
    Not locked: the real proxy calls it under its own lock, the simulator has one thread.
    """

    def __init__(self, eviction: EvictionPolicy) -> None:
        self.eviction = eviction
        self.touch = eviction.touch
        self._entries: dict[Hashable, tuple[Value, float, float]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def lookup(self, key: Hashable, now: float) -> Value | None:
        """The stored value if it is there and fresh at `now`, which counts as a use."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, fresh_until, kept_until = entry
        if now < fresh_until:
            self.eviction.touch(key, now)
            return value
        if now >= kept_until:
            self.discard(key)
        return None

    def peek(self, key: Hashable, now: float) -> Value | None:
        """The stored value, fresh or not, as long as it is kept. No use: see `touch`."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry[2]:
            self.discard(key)
            return None
        return entry[0]

    def store(
        self,
        key: Hashable,
        value: Value,
        size: int,
        fresh_until: float,
        now: float,
        kept_until: float | None = None,
    ) -> bool:
        """Keep `value`, which counts for `size` bytes, until `fresh_until`.

        Parameters
        ----------
        kept_until : float, optional
            How long it is of use when it is not fresh any more; by default not at all.

        Returns
        -------
        bool
            Whether it was kept: an object larger than the whole cache is not, nor one that a
            policy refuses.
        """
        if kept_until is None or kept_until < fresh_until:
            kept_until = fresh_until
        if kept_until <= now:
            self.discard(key)
            return False
        before = self._entries.get(key)
        if before is not None:
            self._left(key, before[0])
        self._entries[key] = (value, fresh_until, kept_until)
        for gone in self.eviction.insert(key, size, now):
            self._left(gone, self._entries.pop(gone)[0])
        return key in self._entries

    def discard(self, key: Hashable) -> bool:
        """Drop `key`; returns whether it was there."""
        self.eviction.remove(key)
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._left(key, entry[0])
        return entry is not None

    def _left(self, key: Hashable, value: Value) -> None:
        """`value` is not stored any more; for caches that keep other notes on it."""
        return


class CacheChoice(Protocol):
    """What a cache is built from, such as `policies.settings.Cache`."""

    @property
    def policy(self) -> str:
        """Name of an eviction policy."""

    @property
    def capacity(self) -> int:
        """Bytes."""

    @property
    def admission(self) -> str | None:
        """An admission policy as settings write it, if any."""


def build_eviction(choice: CacheChoice, rng: random.Random) -> EvictionPolicy:
    """The eviction policy that settings choose, behind the admission policy if there is one.

    Parameters
    ----------
    choice : CacheChoice
        Such as a proxy's ``[cache]`` table.
    rng : random.Random
        For the eviction policy.
    """
    policy = eviction_policies[choice.policy](choice.capacity, rng=rng)
    if choice.admission is None:
        return policy
    return Gated(policy, build_admission(choice.admission, choice.capacity))


def build_cache(choice: CacheChoice, rng: random.Random) -> ObjectCache[Value]:
    """The cache that settings choose: the same one in both twins; see `build_eviction`."""
    return ObjectCache(build_eviction(choice, rng))
