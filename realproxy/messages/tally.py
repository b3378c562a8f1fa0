"""What one thread has counted of requests.

Threads. A `Tally` is written by one thread; any thread may read it: a copy is one operation of the
interpreter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from realproxy.errors import Termination
from realproxy.messages.record import RequestRecord


class Tally:
    """Requests that have begun, how they ended, and the statuses sent (0 where none was)."""

    __slots__ = ("ends", "requests", "statuses")

    def __init__(self) -> None:
        self.requests = 0
        self.ends: Counter[Termination] = Counter()
        self.statuses: Counter[int] = Counter()

    def add(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        self.ends[record.end] += 1
        self.statuses[record.status] += 1


def summed(tallies: Iterable[Tally]) -> Tally:
    """A new tally with the counts of all."""
    total = Tally()
    for tally in tallies:
        total.requests += tally.requests
        total.ends.update(tally.ends.copy())
        total.statuses.update(tally.statuses.copy())
    return total
