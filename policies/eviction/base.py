"""The interface of eviction policies: a byte-bounded set of keys that decides which key to evict.

A policy knows keys and sizes, never the objects. The real proxy and the simulator call the same
classes: the real proxy under its lock, the simulator in simulated time.
"""

from __future__ import annotations

import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence

from policies.contract import bad_return
from policies.registry import Registry

FREE_HEAD = 2048
"""Bytes of an object's head that cost nothing: nearly all heads are smaller."""


def charged_size(body: int, overhead: int = 0, head: int = 0) -> int:
    """Bytes that a stored object counts against the capacity.

    Parameters
    ----------
    body, head : int
        Bytes of the body, and of the head (status line, fields and key). What a head has beyond
        `FREE_HEAD` counts, so that huge heads cannot fill the memory.
    overhead : int
        What the settings charge for each object beyond its body.
    """
    return body + overhead + max(0, head - FREE_HEAD)


class EvictionPolicy(ABC):
    """Which objects stay in a cache of `capacity` bytes.

    Parameters
    ----------
    capacity : int
        Bytes; or a number of objects, if all sizes are 1.
    rng : random.Random, optional
        The only source of random numbers.

    Attributes
    ----------
    objects : int
        The most objects, whatever their bytes; unlimited until it is set, and to be set before use.
    crowded_out : int
        How many objects were evicted because there were too many, though the bytes would have fitted.

    Notes
    -----
    A new policy implements four methods: `touch` (a hit), `_admit` (a new key), `_evict` (choose and drop
    one key), `_forget` (a key is removed for another reason). The base class keeps the sizes and the byte
    count. `now` is in seconds on the caller's clock and never decreases.
    """

    objects = sys.maxsize
    crowded_out = 0

    def __init__(self, capacity: int, *, rng: random.Random | None = None) -> None:
        if capacity < 0:
            raise ValueError(f"capacity must not be negative, not {capacity}")
        self.capacity = capacity
        self.used = 0
        self.rng = rng or random.Random(0)
        self._sizes: dict[Hashable, int] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def insert(self, key: Hashable, size: int, now: float) -> list[Hashable]:
        """Store `key` and make room for it; a stored key counts as touched and gets the new size.

        Returns
        -------
        list
            The keys that are no longer stored: the victims; or `key` alone if it is larger than the
            capacity, or if the policy refuses it.
        """
        if size > self.capacity:
            self.remove(key)
            return [key]
        gone: list[Hashable] = []
        if key in self._sizes:
            self._change_size(key, size)
            self.touch(key, now)
            while self.used > self.capacity:
                gone.append(self._drop(now))
            return gone
        if self._announce(key, size):
            return [key]
        while self.used + size > self.capacity:
            victim = self._evict(now)
            try:
                self.used -= self._sizes.pop(victim)
            except (KeyError, TypeError):
                raise bad_return(self, "_evict", victim, "the key of a stored object") from None
            gone.append(victim)
        while len(self._sizes) >= self.objects:
            gone.append(self._drop(now))
            self.crowded_out += 1
        self._sizes[key] = size
        self.used += size
        self._admit(key, size, now)
        return gone

    def remove(self, key: Hashable) -> None:
        """Drop `key` for a reason outside of the policy (purged, expired); an unknown key is ignored."""
        if key in self._sizes:
            self._forget(key)
            self.used -= self._sizes.pop(key)

    def request(self, key: Hashable, size: int, now: float) -> bool:
        """One request to a cache that stores every miss at once; ``True`` for a hit.

        A stored object keeps the size that it was stored with. If it comes back larger than the whole
        cache, the stored copy is of no use: the request is a miss, and the copy is dropped.
        """
        if key in self._sizes and size <= self.capacity:
            self.touch(key, now)
            return True
        self.insert(key, size, now)
        return False

    def replay(self, keys: Sequence[Hashable], sizes: Sequence[int], times: Sequence[float]) -> list[bool]:
        """`request` for many requests; returns which were hits.

        A policy may implement `_replay`, one fast loop with the same results and the same final content.
        A subclass does not inherit it, because its decisions may differ: its requests are made one by one.
        So are those to a cache with a limited number of objects.
        """
        loop = vars(type(self)).get("_replay", EvictionPolicy._replay)
        if self.objects != sys.maxsize:
            loop = EvictionPolicy._replay
        hits: list[bool] = loop(self, keys, sizes, times)
        return hits

    def _replay(self, keys: Sequence[Hashable], sizes: Sequence[int], times: Sequence[float]) -> list[bool]:
        return list(map(self.request, keys, sizes, times))

    def _store(self, key: Hashable, size: int, now: float) -> None:
        self._sizes[key] = size
        self.used += size
        self._admit(key, size, now)

    def _change_size(self, key: Hashable, size: int) -> None:
        growth = size - self._sizes[key]
        self.used += growth
        self._sizes[key] = size
        self._resize(key, growth)

    def _drop(self, now: float) -> Hashable:
        victim = self._evict(now)
        try:
            self.used -= self._sizes.pop(victim)
        except (KeyError, TypeError):
            raise bad_return(self, "_evict", victim, "the key of a stored object") from None
        return victim

    @abstractmethod
    def touch(self, key: Hashable, now: float) -> None:
        """A request for the stored `key`."""

    def _announce(self, key: Hashable, size: int) -> bool | None:
        """A new key is about to be stored, before room is made; ``True`` refuses it.

        For policies that remember evicted keys, or compare a newcomer with what would have to go.
        """
        return False

    @abstractmethod
    def _admit(self, key: Hashable, size: int, now: float) -> None:
        """Record a new key; there is room for it."""

    def _resize(self, key: Hashable, growth: int) -> None:
        """The stored `key` grew by `growth` bytes; for policies that keep byte counts themselves."""
        return

    @abstractmethod
    def _evict(self, now: float) -> Hashable:
        """Choose one stored key, drop the policy's record of it, and return it."""

    @abstractmethod
    def _forget(self, key: Hashable) -> None:
        """Drop the policy's record of the stored `key`."""


_NEEDED = ("capacity", "used", "rng", "_sizes")

eviction_policies: Registry[EvictionPolicy] = Registry("eviction policy", EvictionPolicy, *_NEEDED)
eviction_policy = eviction_policies.register

offline_policies: Registry[EvictionPolicy] = Registry("offline policy", EvictionPolicy, *_NEEDED)
"""Policies that need to know the future: they give bounds for a trace and cannot run in a cache."""
offline_policy = offline_policies.register


def check_online(name: str) -> str:
    """Return `name` if it is a policy for a cache; raise `ValueError` if it is unknown or offline."""
    if name in offline_policies.names():
        raise ValueError(f"{name!r} needs to know the future: it is a bound for traces, not for a cache")
    return eviction_policies.check(name)
