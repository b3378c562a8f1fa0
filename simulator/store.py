"""The model of the cache: what is stored since when, and how it may be used.

The index and the decisions are those of `policies`, as in the real proxy's store.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from policies.eviction import charged_size
from policies.http_cache.freshness import Answer, read_request
from policies.http_cache.index import ObjectCache, build_cache
from policies.http_cache.reuse import Use, may_serve_stale_on_error, reuse
from policies.settings import Cache
from scenarios.workload import Request
from simulator.routes import Reply

_PLAIN = read_request("GET", {}.get)
"""The requests of the clients: they have no directives."""


class Copy(NamedTuple):
    """A stored response.

    Attributes
    ----------
    answer : Answer
        How long it is fresh, and how it may be used.
    born : float
        When its age was zero, in simulated seconds.
    reply : Reply
        As it came.
    """

    answer: Answer
    born: float
    reply: Reply


class TurnedOut(NamedTuple):
    """Counts of responses that a store did not keep, though its policy did not choose them by their bytes.

    Attributes
    ----------
    crowded_out : int
        Evicted because the store held as many objects as it may.
    too_large : int
        Not stored because they are larger than the capacity.
    """

    crowded_out: int = 0
    too_large: int = 0

    def __add__(self, other: tuple[int, ...]) -> TurnedOut:
        return TurnedOut(self.crowded_out + other[0], self.too_large + other[1])


class Store:
    """Stored responses by object number.

    Parameters
    ----------
    settings : Cache
        The proxy's ``[cache]`` table.
    rng : random.Random
        For the eviction policy.
    """

    def __init__(self, settings: Cache, rng: random.Random) -> None:
        self._index: ObjectCache[Copy] = build_cache(settings, rng)
        self._overhead = settings.overhead
        self._too_large = 0
        self._revalidating: set[int] = set()

    def lookup(self, number: int, now: float) -> tuple[Use, Copy | None]:
        """What to do with a request for an object, and its stored copy."""
        copy = self._index.peek(number, now)
        if copy is None:
            return Use.ASK, None
        use = reuse(copy.answer, _PLAIN, now - copy.born)
        if use is not Use.ASK:
            self._index.touch(number, now)
        return use, copy

    def stale_if_error(self, number: int, now: float) -> Copy | None:
        """The copy that may be sent because the origin fails, if any."""
        copy = self._index.peek(number, now)
        if copy is None or not may_serve_stale_on_error(copy.answer, _PLAIN, now - copy.born):
            return None
        return copy

    def put(self, request: Request, answer: Answer, reply: Reply, now: float) -> None:
        """Store the response to a request at `now`, unless it became stale in another store before."""
        born = now if reply.born is None else reply.born
        if now - born >= answer.lifetime and not answer.while_revalidate:
            return
        copy, size = Copy(answer, born, reply), charged_size(request.size, self._overhead)
        self._too_large += size > self._index.eviction.capacity
        self._index.store(request.object, copy, size, born + answer.lifetime, now, born + answer.kept)

    @property
    def turned_out(self) -> TurnedOut:
        """What was not kept for another reason than the policy's choice among bytes."""
        return TurnedOut(self._index.eviction.crowded_out, self._too_large)

    def lock_revalidation(self, number: int) -> bool:
        """Whether the caller may revalidate an object; no other request may until `unlock_revalidation`."""
        if number in self._revalidating:
            return False
        self._revalidating.add(number)
        return True

    def unlock_revalidation(self, number: int) -> None:
        """The revalidation of an object has ended."""
        self._revalidating.discard(number)
