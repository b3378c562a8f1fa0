"""The state of one thread that runs requests."""

from __future__ import annotations

from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.record import Tally
from realproxy.runtime.slots import Slots

BUFFER = 256 * 2**10
"""Bytes that a thread reads at once from a long body."""


class ThreadState:
    """What one thread owns: its counters, and a buffer.

    `slots` are those of all workers, for the thread that begins requests which have no slot yet. `serving` is
    what the thread serves with right now.
    """

    def __init__(self, slots: Slots[DownstreamConnection] | None = None) -> None:
        self.tally, self.slots = Tally(), slots
        self.serving: Callable[[DownstreamConnection, ThreadState], None] | None = None
        self._buffer: memoryview | None = None

    @property
    def buffer(self) -> memoryview:
        """Memory for long bodies; allocated at first use."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER))
        return self._buffer
