"""A bounded queue: a limit of requests in flight; further requests wait, but not for long."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Ticket = TypeVar("Ticket", bound=Hashable)


class BoundedQueue(Generic[Ticket]):
    """First come, first served; a request that has waited too long is skipped.

    Parameters
    ----------
    in_flight : int
        Requests in flight at once.
    wait : float
        Seconds that a request may wait.
    """

    def __init__(self, in_flight: int, wait: float) -> None:
        self._free = in_flight
        self.wait = wait
        self._waiting: dict[Ticket, None] = {}

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return len(self._waiting)

    def enter(self, ticket: Ticket) -> bool:
        """Whether the request of `ticket` may proceed; if not, it waits until `leave` or `give_up`."""
        if self._free:
            self._free -= 1
            return True
        if self.wait > 0:
            self._waiting[ticket] = None
        return False

    def leave(self) -> Ticket | None:
        """A request in flight has ended; returns the ticket that may proceed now, if any."""
        if not self._waiting:
            self._free += 1
            return None
        ticket = next(iter(self._waiting))
        del self._waiting[ticket]
        return ticket

    def give_up(self, ticket: Ticket) -> bool:
        """The request of `ticket` stops waiting; ``False`` if it was allowed to proceed before."""
        if ticket not in self._waiting:
            return False
        del self._waiting[ticket]
        return True
