"""Refusing what cannot be worked on in time, by a thread of its own, as all the others may be stuck.

Threads. `submit` is for any thread; the shedding thread starts with the first refusal, owns the
clients from then on, and hands them on like a worker.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.proxying.worker import ThreadState


class Shedder:
    """The thread that refuses requests.

    Parameters
    ----------
    shed : callable
        Refuses the request of a client without waiting for anybody, and hands it on.
    abandon : callable
        Closes a client whose `shed` failed.

    Attributes
    ----------
    worker : ThreadState
        Where it counts.
    """

    def __init__(
        self,
        shed: Callable[[DownstreamConnection, ThreadState], None],
        abandon: Callable[[DownstreamConnection], None],
    ) -> None:
        self._shed, self._abandon = shed, abandon
        self._queue: queue.SimpleQueue[DownstreamConnection | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.worker = ThreadState()

    def submit(self, client: DownstreamConnection) -> None:
        """Have a request refused; never waits."""
        self._queue.put(client)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="proxy-shedder", daemon=True)
                self._thread.start()

    def stop(self, patience: float) -> None:
        """End the thread, within so many seconds if it can."""
        self._queue.put(None)
        with self._lock:
            if self._thread is not None:
                self._thread.join(patience)

    def _run(self) -> None:
        while (client := self._queue.get()) is not None:
            handled = False
            try:
                self._shed(client, self.worker)
                handled = True
            finally:
                if not handled:
                    self._abandon(client)
