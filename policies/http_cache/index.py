"""A cache's index: which objects are stored, how long they are fresh, and which are evicted.

The real proxy and the simulator ask this class whether a request is a hit. The real proxy keeps the
stored response as the value, the simulator a mark. A value is never ``None``: that means a miss.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from policies.admission import Gated, build_admission
from policies.contract import bad_return, blamed
from policies.eviction import EvictionPolicy, eviction_policies

Value = TypeVar("Value")


class ObjectCache(Generic[Value]):
    """Objects with an age limit under an eviction policy.

    Parameters
    ----------
    eviction : EvictionPolicy
        Its capacity is the cache's.

    Attributes
    ----------
    touch : callable
        Counts a use of an object that `peek` has just found; takes its key and the time.

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
        """The value of `key` if it is fresh at `now`; this counts as a use."""
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
        """The value of `key`, fresh or stale, while it is kept. Does not count as a use: see `touch`."""
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
            When a stale value becomes useless; by default `fresh_until`.

        Returns
        -------
        bool
            Whether it is stored. An object that is larger than the cache is not, nor one that the
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
        gone: object = None
        try:
            gone = self.eviction.insert(key, size, now)
            for victim in gone:
                self._left(victim, self._entries.pop(victim)[0])
        except Exception as error:  # an own policy's fault: what the policy no longer knows must not stay
            for lost in [one for one in self._entries if one not in self.eviction]:
                self._left(lost, self._entries.pop(lost)[0])
            if isinstance(error, (KeyError, TypeError)) and blamed(error) is None:
                expected = "the keys that are no longer stored"
                raise bad_return(self.eviction, "insert", gone, expected) from error
            raise
        return key in self._entries

    def discard(self, key: Hashable) -> bool:
        """Drop `key`; returns whether it was stored."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._left(key, entry[0])
        self.eviction.remove(key)
        return entry is not None

    def _left(self, key: Hashable, value: Value) -> None:
        """Called when `value` is no longer stored; for subclasses that keep records about values."""
        return


class CacheChoice(Protocol):
    """The settings that a cache is built from, such as `policies.settings.Cache`."""

    @property
    def policy(self) -> str:
        """Name of an eviction policy."""

    @property
    def capacity(self) -> int:
        """Bytes."""

    @property
    def objects(self) -> int:
        """The most objects."""

    @property
    def admission(self) -> str | None:
        """An admission policy in the notation of the settings, if any."""


def build_eviction(choice: CacheChoice, rng: random.Random) -> EvictionPolicy:
    """The eviction policy of the settings, behind the admission policy if there is one."""
    policy = eviction_policies.build(choice.policy, choice.capacity, rng=rng)
    policy.objects = choice.objects
    if choice.admission is None:
        return policy
    return Gated(policy, build_admission(choice.admission, choice.capacity))


def build_cache(choice: CacheChoice, rng: random.Random) -> ObjectCache[Value]:
    """The cache of the settings; the real proxy and the simulator use the same one."""
    return ObjectCache(build_eviction(choice, rng))
