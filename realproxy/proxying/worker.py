"""What one thread that answers requests has to itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.observe.metrics import Metrics
from realproxy.runtime.slots import Slots

BUFFER = 256 * 2**10
"""Bytes that a worker reads at once from a long body."""


class ThreadState:
    """What one thread has to itself.

    Attributes
    ----------
    tally : Counter
        What it counted: answers by status class, ends.
    meter : Metrics
        What its exchanges cost; filled only if somebody can ask for it.
    places : Slots or None
        Of all workers, for who begins with requests that have none yet.
    at : callable or None
        What it serves with right now.
    """

    def __init__(self, places: Slots[DownstreamConnection] | None = None) -> None:
        self.tally: Counter[str] = Counter()
        self.meter = Metrics()
        self.places = places
        self.at: Callable[[DownstreamConnection, ThreadState], None] | None = None
        self._buffer: memoryview | None = None

    @property
    def buffer(self) -> memoryview:
        """Memory for long bodies; reserved at first use."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER))
        return self._buffer
