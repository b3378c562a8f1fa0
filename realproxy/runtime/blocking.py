"""Which workers are blocked: the others could run if they got the processor.

Threads. A worker notes its own wait and removes the note; the event loop's thread counts. Both use only
single operations of a dict, which the interpreter makes atomic.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class BlockedThreads:
    """The waits of all workers: the poll `events` that they wait for, by descriptor.

    Hot code sets an entry before its wait and deletes it afterwards.
    """

    def __init__(self) -> None:
        self.events: dict[int, int] = {}

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Around a wait that no descriptor tells the end of, such as for a name."""
        key = -threading.get_ident()
        self.events[key] = 0
        try:
            yield
        finally:
            del self.events[key]

    def count(self) -> int:
        """The number of workers whose wait goes on; one whose data has arrived waits for the processor."""
        waits = self.events.copy().items()  # a copy is one operation; a list of pairs is not
        poller = select.poll()
        descriptors = [(fd, events) for fd, events in waits if fd >= 0]
        for fd, events in descriptors:
            poller.register(fd, events)
        return len(waits) - (len(poller.poll(0)) if descriptors else 0)
