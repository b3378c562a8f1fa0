"""What every eviction policy is: a byte-bounded set of keys that decides who must go.

A policy knows keys and sizes, never the objects. Both twins call the same class: the real proxy
behind its lock, the simulator in simulated time.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence

from policies.registry import Registry

ENTRY_OVERHEAD = 512
"""Bytes that an object is charged beyond its body, unless its head is larger: head and index."""


def charged_size(body: int, head: int = 0) -> int:
    """Bytes that a stored object counts against a cache's capacity.

    Parameters
    ----------
    body, head : int
        Bytes of the body and of the head (status line and fields).
    """
    return body + max(ENTRY_OVERHEAD, head)


class EvictionPolicy(ABC):
    """Which objects stay in a cache of `capacity` bytes.

    Parameters
    ----------
    capacity : int
        Bytes; with sizes of 1, a number of objects.
    rng : random.Random, optional
        Where a policy's chance comes from. A policy never calls `random` itself.

    Notes
    -----
    A new policy writes four methods: `touch` (a hit), `_admit` (a new key), `_evict` (choose
    and drop one key), `_forget` (this key went for another reason). The base class keeps sizes
    and the byte count. `now` is in seconds on the caller's clock and never runs backwards.
    """

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
        """Store `key` and make room for it.

        Returns
        -------
        list
            The keys that are not stored any more: victims, and `key` itself if it is refused
            because it is larger than the capacity. A key that is there already is taken as
            touched, with its new size.
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
        self._announce(key, size)
        while self.used + size > self.capacity:
            victim = self._evict(now)
            self.used -= self._sizes.pop(victim)
            gone.append(victim)
        self._sizes[key] = size
        self.used += size
        self._admit(key, size, now)
        return gone

    def remove(self, key: Hashable) -> None:
        """Drop `key` for a reason that is not the policy's (purged, expired). Unknown keys are fine."""
        if key in self._sizes:
            self._forget(key)
            self.used -= self._sizes.pop(key)

    def request(self, key: Hashable, size: int, now: float) -> bool:
        """One request to a cache that stores every miss at once: ``True`` for a hit."""
        if key in self._sizes:
            self.touch(key, now)
            return True
        self.insert(key, size, now)
        return False

    def replay(self, keys: Sequence[Hashable], sizes: Sequence[int], times: Sequence[float]) -> list[bool]:
        """`request` for each of many requests: which were hits.

        A policy may do this in one loop of its own, `_replay`, for speed; the answers and what is
        stored in the end are the same. It stands for the class that wrote it: one derived from it
        decides otherwise, and its requests are taken one by one.
        """
        loop = vars(type(self)).get("_replay", EvictionPolicy._replay)
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
        self.used -= self._sizes.pop(victim)
        return victim

    @abstractmethod
    def touch(self, key: Hashable, now: float) -> None:
        """`key` is stored and was asked for."""

    def _announce(self, key: Hashable, size: int) -> None:
        """A new key comes, for which room is made next; for policies that remember what they evicted."""
        return

    @abstractmethod
    def _admit(self, key: Hashable, size: int, now: float) -> None:
        """Take note of a new key; there is room for it."""

    def _resize(self, key: Hashable, growth: int) -> None:
        """`key`, which is stored, grew by `growth` bytes; for policies that sum up bytes of their own."""
        return

    @abstractmethod
    def _evict(self, now: float) -> Hashable:
        """Choose one stored key, drop it from the policy's own notes and return it."""

    @abstractmethod
    def _forget(self, key: Hashable) -> None:
        """Drop `key`, which is stored, from the policy's own notes."""


eviction_policies: Registry[EvictionPolicy] = Registry("eviction policy")
eviction_policy = eviction_policies.register

offline_policies: Registry[EvictionPolicy] = Registry("offline policy")
"""Policies that must know the future: for bounds on a trace, never for a cache that answers now."""
offline_policy = offline_policies.register


def check_online(name: str) -> str:
    """Return `name` if it is an eviction policy's; raise `ValueError` if not, or if it is offline."""
    if name in offline_policies.names():
        raise ValueError(f"{name!r} needs to know the future: it is a bound for traces, not for a cache")
    return eviction_policies.check(name)
