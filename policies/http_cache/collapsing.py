"""Request collapsing: while one request fetches an object, other requests for it wait for the response.

A cache may give one response to all of them if the store could have answered each of them with it.
RFC 9111, 4
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from policies.http_cache.freshness import Answer, NotStored
from policies.http_cache.reuse import ERROR_STATUSES, is_of_one_request

Waiter = TypeVar("Waiter")

HIT_FOR_MISS = 120.0
"""Seconds for which a key counts as unshareable after a private response (Varnish: hit-for-miss)."""
MOST_REMEMBERED = 4096
"""Most keys that count as unshareable at once; the oldest is forgotten."""
MOST_FAILURES = 2
"""Most failed fetches that one request waits for; after that it gets the failure."""
MOST_APART = 2
"""Most fetches that one request waits for although they bring a response for another request alone."""


class Decision(Enum):
    """What a request does whose object is not in the store."""

    FETCH = "fetch the object for all requests that come meanwhile"
    WAIT = "wait for the request that fetches it"
    ALONE = "fetch it for this request alone"
    FAIL = "answer with the failure that this request waited for"


class FlightResult(Enum):
    """How a fetch ended for the requests that waited for it."""

    SHARED = "they may be given the response"
    PRIVATE = "each request gets a response of its own"
    APART = "the response is about the request that fetched it; another request may bring one for all"
    FAILED = "there is no response"


def shareable(answer: Answer) -> bool:
    """Whether a response may be given to other requests without validation: it may be stored and is fresh."""
    return answer.reason is None and not answer.validate and answer.lifetime > answer.age


def flight_result(status: int, usable: bool, reason: NotStored | None = None) -> FlightResult:
    """How a fetch ended.

    Parameters
    ----------
    status : int
        Of the response, or of the proxy's own error.
    usable : bool
        Whether the response is `shareable`.
    reason : NotStored or None
        Why it is not stored, if it is not.
    """
    if usable:
        return FlightResult.SHARED
    if is_of_one_request(status, reason):
        return FlightResult.APART
    return FlightResult.FAILED if status in ERROR_STATUSES else FlightResult.PRIVATE


def after(ended: FlightResult, failures: int, apart: int = 0) -> Decision:
    """What a request does when the fetch that it waited for gave it nothing.

    After a failure, one of the waiting requests fetches again for all. A request that has seen
    `MOST_FAILURES` failures gets the failure. After a private response, all requests fetch at once:
    if they waited for each other, they would only form a queue. After a response that was about the
    fetching request alone, one of them fetches for all; after `MOST_APART` of these, each for itself.

    Parameters
    ----------
    ended : FlightResult
        Of the fetch that the request waited for.
    failures : int
        Failed fetches that the request has waited for, including this one.
    apart : int
        The same for fetches that ended with ``APART``.
    """
    if ended is FlightResult.APART:
        return Decision.ALONE if apart >= MOST_APART else Decision.WAIT
    if ended is FlightResult.FAILED:
        return Decision.FAIL if failures >= MOST_FAILURES else Decision.WAIT
    return Decision.ALONE if ended is FlightResult.PRIVATE else Decision.WAIT


class Flight(Generic[Waiter]):
    """One fetch and the requests that wait for it.

    Attributes
    ----------
    key : hashable
        Of the object.
    waiting : dict
        The keys are the waiting requests, in the order of arrival.
    """

    __slots__ = ("key", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.waiting: dict[Waiter, None] = {}


class Flights(Generic[Waiter]):
    """All fetches that requests may wait for (nginx's ``proxy_cache_lock``, Go's ``singleflight``).

    Notes
    -----
    Not locked: the real proxy calls it under its own lock, the simulator has one thread.
    """

    def __init__(self) -> None:
        self._in_flight: dict[Hashable, Flight[Waiter]] = {}
        self._hit_for_miss: dict[Hashable, float] = {}

    def ask(
        self, key: Hashable, waiter: Waiter, now: float, *, leads: bool = True
    ) -> tuple[Decision, Flight[Waiter] | None]:
        """Decide what a request for `key` does.

        Parameters
        ----------
        key : hashable
            Of the object.
        waiter : object
            The request, as `complete` returns it.
        now : float
            Seconds.
        leads : bool
            Whether the response to this request may be given to others.

        Returns
        -------
        decision : Decision
            ``FETCH``, ``WAIT`` or ``ALONE``.
        flight : Flight or None
            After ``FETCH`` pass it to `complete`; after ``WAIT`` it can be passed to `leave`.
        """
        flight = self._in_flight.get(key)
        if flight is not None:
            flight.waiting[waiter] = None
            return Decision.WAIT, flight
        if not leads or self._hit_for_miss.get(key, now) > now:
            return Decision.ALONE, None
        flight = self._in_flight[key] = Flight(key)
        return Decision.FETCH, flight

    def complete(self, flight: Flight[Waiter], ended: FlightResult, now: float) -> list[Waiter]:
        """End a fetch; returns the requests that wait for it, in the order of arrival."""
        if self.is_newest(flight):
            del self._in_flight[flight.key]
        if ended is FlightResult.PRIVATE:
            self._hit_for_miss.pop(flight.key, None)
            self._hit_for_miss[flight.key] = now + HIT_FOR_MISS
            if len(self._hit_for_miss) > MOST_REMEMBERED:
                del self._hit_for_miss[next(iter(self._hit_for_miss))]
        elif ended is FlightResult.SHARED:
            self.shareable(flight.key)
        waiting, flight.waiting = flight.waiting, {}
        return list(waiting)

    def is_newest(self, flight: Flight[Waiter]) -> bool:
        """Whether a request that comes now would wait for this fetch."""
        return self._in_flight.get(flight.key) is flight

    def __iter__(self) -> Iterator[Hashable]:
        """The keys that are being fetched."""
        return iter(list(self._in_flight))

    def invalidate(self, key: Hashable) -> None:
        """The object has changed, so a fetch under way may bring an old version.

        Requests that wait for that fetch still get its response; later requests do not wait for it.
        """
        self._in_flight.pop(key, None)

    def shareable(self, key: Hashable) -> None:
        """A response for `key` could be shared: forget that earlier ones could not."""
        self._hit_for_miss.pop(key, None)

    def leave(self, flight: Flight[Waiter], waiter: Waiter) -> bool:
        """Stop waiting; ``False`` if the fetch had ended before."""
        return waiter in flight.waiting and flight.waiting.pop(waiter) is None

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return sum(len(flight.waiting) for flight in self._in_flight.values())

    def __len__(self) -> int:
        return len(self._in_flight)
