"""What one thread that answers requests has to itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from realproxy.downstream.connection import Client
from realproxy.observe.metrics import Meter
from realproxy.runtime.slots import Places

BUFFER = 256 * 2**10
"""Bytes that a worker reads at once from a long body."""


class Worker:
    """What one thread has to itself.

    Attributes
    ----------
    tally : Counter
        What it counted: answers by status class, ends.
    meter : Meter
        What its exchanges cost; filled only if somebody can ask for it.
    places : Places or None
        Of all workers, for who begins with requests that have none yet.
    at : callable or None
        What it serves with right now.
    """

    def __init__(self, places: Places[Client] | None = None) -> None:
        self.tally: Counter[str] = Counter()
        self.meter = Meter()
        self.places = places
        self.at: Callable[[Client, Worker], None] | None = None
        self._buffer: memoryview | None = None

    @property
    def buffer(self) -> memoryview:
        """Memory for long bodies; reserved at first use."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER))
        return self._buffer
