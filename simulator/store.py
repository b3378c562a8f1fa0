"""The cache's model: what is stored since when, and what may be done with it at a time.

Index and decisions are those of `policies`, which the real proxy's store calls, too.
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
"""What the test clients ask: they carry no directives of their own."""


class Copy(NamedTuple):
    """A stored answer.

    Attributes
    ----------
    answer : Answer
        How long it is fresh, and how it may be used.
    born : float
        When its age was zero, in simulated seconds.
    reply : Reply
        The answer as it came.
    """

    answer: Answer
    born: float
    reply: Reply


class Store:
    """Stored answers by object number.

    Parameters
    ----------
    settings : Cache
        The proxy's ``[cache]`` table.
    rng : random.Random
        For the eviction policy.
    """

    def __init__(self, settings: Cache, rng: random.Random) -> None:
        self._index: ObjectCache[Copy] = build_cache(settings, rng)
        self._claims: set[int] = set()

    def lookup(self, number: int, now: float) -> tuple[Use, Copy | None]:
        """What to do with a request for an object: answer with the copy, or ask the origin."""
        copy = self._index.peek(number, now)
        if copy is None:
            return Use.ASK, None
        use = reuse(copy.answer, _PLAIN, now - copy.born)
        if use is not Use.ASK:
            self._index.touch(number, now)
        return use, copy

    def stand_in(self, number: int, now: float) -> Copy | None:
        """What may be sent because the origin fails."""
        copy = self._index.peek(number, now)
        if copy is None or not may_serve_stale_on_error(copy.answer, _PLAIN, now - copy.born):
            return None
        return copy

    def put(self, request: Request, answer: Answer, reply: Reply, now: float) -> None:
        """Keep the answer to a request that arrives `now`, unless it has grown stale in another store."""
        born = now if reply.born is None else reply.born
        if now - born >= answer.lifetime and not answer.while_revalidate:
            return
        copy, size = Copy(answer, born, reply), charged_size(request.size)
        self._index.store(request.object, copy, size, born + answer.lifetime, now, born + answer.kept)

    def claim(self, number: int) -> bool:
        """Whether the caller is to revalidate an object: nobody else is at it. Ends with `disclaim`."""
        if number in self._claims:
            return False
        self._claims.add(number)
        return True

    def disclaim(self, number: int) -> None:
        """The revalidation of an object is over."""
        self._claims.discard(number)
