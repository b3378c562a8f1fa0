"""What workers wait for: how many of them could run if they were given the processor.

Threads. A worker notes its own wait and ends it; the front thread counts. Only single dict
operations, which the interpreter makes atomic.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class BlockedThreads:
    """The waits of all workers.

    Attributes
    ----------
    events : dict of int to int
        Poll events that a worker waits for, by descriptor. Changed directly where it is hot:
        set before the wait, deleted after it.
    """

    def __init__(self) -> None:
        self.events: dict[int, int] = {}

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Around a wait for something that cannot be polled, such as a name server."""
        key = -threading.get_ident()
        self.events[key] = 0
        try:
            yield
        finally:
            del self.events[key]

    def count(self) -> int:
        """How many workers wait for something that has not come.

        One whose data has come but who has not run yet waits for the processor, not for the data.
        """
        waits = self.events.copy().items()  # in one operation: a list of pairs may be interrupted
        poller = select.poll()
        descriptors = [(fd, events) for fd, events in waits if fd >= 0]
        for fd, events in descriptors:
            poller.register(fd, events)
        return len(waits) - (len(poller.poll(0)) if descriptors else 0)
