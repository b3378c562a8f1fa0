"""A bounded queue: a limit of requests in flight; further requests wait, but not for long."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

from policies.concurrency import ConcurrencyLimit

Ticket = TypeVar("Ticket", bound=Hashable)


class BoundedQueue(Generic[Ticket]):
    """A limit of requests in flight, fixed or learned; a request that has waited too long is skipped.

    Parameters
    ----------
    in_flight : int or ConcurrencyLimit
        Requests in flight at once.
    wait : float
        Seconds that a request may wait.
    order : str
        Who is served first: ``fifo``, the oldest, or ``lifo``, the newest. Under an overload the oldest are
        those that nobody waits for much longer, so that lifo lets most requests be served in time.
    length : int, optional
        Requests that may wait at once; no limit by default.

    Attributes
    ----------
    in_flight : int
        Requests in flight now.
    limit : ConcurrencyLimit or None
        What changes the limit; None if it is fixed.
    """

    def __init__(
        self,
        in_flight: int | ConcurrencyLimit,
        wait: float = 0.0,
        order: Literal["fifo", "lifo"] = "fifo",
        length: int | None = None,
    ) -> None:
        self.limit = None if isinstance(in_flight, int) else in_flight
        self._most = in_flight if isinstance(in_flight, int) else 0
        self.in_flight = 0
        self.wait = wait
        self._newest_first = order == "lifo"
        self._most_waiting = math.inf if length is None else length
        self._waiting: dict[Ticket, None] = {}

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return len(self._waiting)

    def most(self, now: float) -> int:
        """Requests that may be in flight at `now`; at least 1."""
        return self._most if self.limit is None else max(1, self.limit.limit(now))

    def is_full(self, now: float) -> bool:
        """Whether no request may proceed at `now`."""
        in_flight = self.in_flight
        return in_flight > 0 and in_flight >= (self._most if self.limit is None else self.limit.limit(now))

    def enter(self, ticket: Ticket, now: float) -> bool:
        """Whether the request of `ticket` may proceed; if not, see `waits`."""
        if not self.is_full(now):
            self.in_flight += 1
            return True
        if self.wait > 0 and len(self._waiting) < self._most_waiting:
            self._waiting[ticket] = None
        return False

    def waits(self, ticket: Ticket) -> bool:
        """Whether the request of `ticket` waits until `leave` or `give_up`; else there is no room for it."""
        return ticket in self._waiting

    def leave(self, now: float, began: float = 0.0, failed: bool | None = None) -> list[Ticket]:
        """A request in flight has ended; returns the tickets that may proceed now.

        There may be several, if the limit has grown.

        Parameters
        ----------
        began : float
            When the request was admitted: when `enter` or `leave` let it proceed.
        failed : bool or None
            Whether it failed or came too late; None if it says nothing about the service, such as when the
            client left or a breaker was open.
        """
        if self.limit is not None and failed is not None:
            self.limit.sample(now, now - began, self.in_flight, failed)
        self.in_flight -= 1
        if not self._waiting:
            return []
        admitted = []
        most = self.most(now)
        while self._waiting and self.in_flight < most:
            ticket = next(reversed(self._waiting)) if self._newest_first else next(iter(self._waiting))
            del self._waiting[ticket]
            self.in_flight += 1
            admitted.append(ticket)
        return admitted

    def give_up(self, ticket: Ticket) -> bool:
        """The request of `ticket` stops waiting; ``False`` if it was allowed to proceed before."""
        if ticket not in self._waiting:
            return False
        del self._waiting[ticket]
        return True
