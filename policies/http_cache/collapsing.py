"""Coalescing: while one request fetches an object, others for the same object wait for what it gets.

A cache may give one answer to all of them if each of them could have been given it out of the
store. RFC 9111, 4
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from policies.http_cache.freshness import Answer
from policies.http_cache.reuse import ERROR_STATUSES

Waiter = TypeVar("Waiter")

HIT_FOR_MISS = 120.0
"""Seconds for which it is remembered that the answers for a key cannot be shared (as Varnish does)."""
MOST_REMEMBERED = 4096
"""Keys of which that is remembered at once; the oldest is forgotten."""
MOST_FAILURES = 2
"""Failed fetches that one request waits for: the first may be bad luck, the second is an answer."""


class Decision(Enum):
    """What a request does whose object is not there."""

    FETCH = "fetch it for all who come meanwhile"
    WAIT = "wait for who fetches it"
    ALONE = "fetch it for itself alone"
    FAIL = "be told of the failure that it waited for"


class FlightResult(Enum):
    """How a fetch ended for those who waited for it."""

    SHARED = "its answer may be given to them"
    PRIVATE = "its answer is for one request alone"
    FAILED = "there is no answer"


def shareable(answer: Answer) -> bool:
    """Whether an answer could be given to others out of the store as it came: it is fresh."""
    return answer.reason is None and not answer.validate and answer.lifetime > answer.age


def flight_result(status: int, usable: bool) -> FlightResult:
    """How a fetch ended.

    Parameters
    ----------
    status : int
        Of the answer, or of what is said in place of one.
    usable : bool
        Whether it is `shareable`.
    """
    if usable:
        return FlightResult.SHARED
    return FlightResult.FAILED if status in ERROR_STATUSES else FlightResult.PRIVATE


def after(ended: FlightResult, failures: int) -> Decision:
    """What a request does that has waited in vain.

    After a failure one of those who waited tries again for all; who has seen it fail `MOST_FAILURES`
    times is told. What is private is fetched by all at once: waiting for one another would only
    put them in a row.

    Parameters
    ----------
    ended : FlightResult
        How the fetch ended that it waited for.
    failures : int
        Failed fetches that it has waited for, this one too.
    """
    if ended is FlightResult.FAILED:
        return Decision.FAIL if failures >= MOST_FAILURES else Decision.WAIT
    return Decision.ALONE if ended is FlightResult.PRIVATE else Decision.WAIT


class Flight(Generic[Waiter]):
    """One fetch, and who waits for it.

    Attributes
    ----------
    key : hashable
        Of the object.
    waiting : dict
        Those who wait are its keys, in the order in which they came.
    """

    __slots__ = ("key", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.waiting: dict[Waiter, None] = {}


class Flights(Generic[Waiter]):
    """Who fetches, and who waits for whom (nginx's ``proxy_cache_lock``, Go's ``singleflight``).

    Notes
    -----
    Not locked: the real proxy calls it under its own lock, the simulator has one thread.
    """

    def __init__(self) -> None:
        self._flying: dict[Hashable, Flight[Waiter]] = {}
        self._private: dict[Hashable, float] = {}

    def ask(
        self, key: Hashable, waiter: Waiter, now: float, *, leads: bool = True
    ) -> tuple[Decision, Flight[Waiter] | None]:
        """What a request does that needs `key`.

        Parameters
        ----------
        key : hashable
            Of the object.
        waiter : object
            Who asks.
        now : float
            Seconds.
        leads : bool
            Whether what it would fetch may do for others.

        Returns
        -------
        turn : Decision
            ``FETCH``, ``WAIT`` or ``ALONE``.
        flight : Flight or None
            To be given to `complete` after ``FETCH``, or to `leave` after ``WAIT``.
        """
        flight = self._flying.get(key)
        if flight is not None:
            flight.waiting[waiter] = None
            return Decision.WAIT, flight
        if not leads or self._private.get(key, now) > now:
            return Decision.ALONE, None
        flight = self._flying[key] = Flight(key)
        return Decision.FETCH, flight

    def complete(self, flight: Flight[Waiter], ended: FlightResult, now: float) -> list[Waiter]:
        """A fetch has ended: those who wait for it, in the order in which they came."""
        if self.is_newest(flight):
            del self._flying[flight.key]
        if ended is FlightResult.PRIVATE:
            self._private.pop(flight.key, None)
            self._private[flight.key] = now + HIT_FOR_MISS
            if len(self._private) > MOST_REMEMBERED:
                del self._private[next(iter(self._private))]
        elif ended is FlightResult.SHARED:
            self.shareable(flight.key)
        waiting, flight.waiting = flight.waiting, {}
        return list(waiting)

    def is_newest(self, flight: Flight[Waiter]) -> bool:
        """Whether who asks now would wait for this fetch."""
        return self._flying.get(flight.key) is flight

    def __iter__(self) -> Iterator[Hashable]:
        """What is being fetched."""
        return iter(list(self._flying))

    def invalidate(self, key: Hashable) -> None:
        """The object has changed: what is under way may bring what it was before.

        Who waits for that still does, but nobody else.
        """
        self._flying.pop(key, None)

    def shareable(self, key: Hashable) -> None:
        """An answer for `key` could be shared: what is remembered of earlier ones does not hold."""
        self._private.pop(key, None)

    def leave(self, flight: Flight[Waiter], waiter: Waiter) -> bool:
        """`waiter` waits no longer; ``False`` if the fetch had ended before."""
        return waiter in flight.waiting and flight.waiting.pop(waiter) is None

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return sum(len(flight.waiting) for flight in self._flying.values())

    def __len__(self) -> int:
        return len(self._flying)
