"""A bounded queue: so many requests in flight, the others wait their turn, but not for long."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Ticket = TypeVar("Ticket", bound=Hashable)


class BoundedQueue(Generic[Ticket]):
    """First come, first served; who has waited too long is passed over.

    Parameters
    ----------
    in_flight : int
        Requests at once.
    wait : float
        Seconds that a request may wait for its turn.
    """

    def __init__(self, in_flight: int, wait: float) -> None:
        self._free = in_flight
        self.wait = wait
        self._waiting: dict[Ticket, None] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self, ticket: Ticket) -> bool:
        """Whether the holder of `ticket` may go on at once; else it waits, until `leave` or `give_up`."""
        if self._free:
            self._free -= 1
            return True
        if self.wait > 0:
            self._waiting[ticket] = None
        return False

    def leave(self) -> Ticket | None:
        """One in flight has ended: the ticket whose turn it is now, if anyone waits."""
        if not self._waiting:
            self._free += 1
            return None
        ticket = next(iter(self._waiting))
        del self._waiting[ticket]
        return ticket

    def give_up(self, ticket: Ticket) -> bool:
        """The wait of `ticket` is over; ``False`` if its turn had come before."""
        if ticket not in self._waiting:
            return False
        del self._waiting[ticket]
        return True
