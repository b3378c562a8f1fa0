"""What one thread that runs requests has to itself."""

from __future__ import annotations

from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.tally import Tally
from realproxy.runtime.slots import Slots

BUFFER = 256 * 2**10
"""Bytes that a thread reads at once from a long body."""


class ThreadState:
    """What one thread has to itself.

    Attributes
    ----------
    tally : Tally
        What the thread has counted.
    slots : Slots or None
        Those of all workers, for the thread that begins with requests that have none yet.
    serving : callable or None
        What the thread serves with right now.
    """

    def __init__(self, slots: Slots[DownstreamConnection] | None = None) -> None:
        self.tally, self.slots = Tally(), slots
        self.serving: Callable[[DownstreamConnection, ThreadState], None] | None = None
        self._buffer: memoryview | None = None

    @property
    def buffer(self) -> memoryview:
        """Memory for long bodies; reserved at first use."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER))
        return self._buffer
