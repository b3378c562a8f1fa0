"""The workers: threads that answer requests, as many as help.

Threads. The places, the queue and the waits are all that the front and the workers share; who is in
the queue has a place. The front thread alone starts workers, in `adjust`; a worker ends itself under
the lock. What a worker counts is its own; `WorkerPool.tally` may read it at any time.

How many? One interpreter runs one thread at a time: two or three that could run keep it busy,
more only add switching. So what is kept steady is not the number of threads but of those that
could run. While requests wait and hardly a worker could run, all others being stuck with
upstreams or slow clients, more are started, up to the limit. When more run than help, or some
have not been needed for long, they are let go.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.tally import Tally, summed
from realproxy.proxying.context import RequestContext
from realproxy.proxying.worker import ThreadState
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.isolation import report
from realproxy.runtime.slots import Slots

AT_FIRST = 3
"""Threads that are there from the start, and stay."""
SAMPLE = 0.001
"""Seconds between two looks at what the workers do."""
SAMPLES = 5
"""Looks that one decision is taken from."""
TOO_FEW, TOO_MANY = 1.0, 3.5
"""Workers, on average: fewer that could run, or more that do run, change the number of threads."""
UNNEEDED = 10.0
"""Seconds in which a thread was never needed before it ends."""


class WorkerPool:
    """A pool of workers.

    Parameters
    ----------
    serve : callable
        Answers the requests of a client; ends by handing the client on or closing it.
    abandon : callable
        Closes a client whose `serve` failed.
    waits : BlockedThreads
        What the workers wait for.
    limit : int
        Threads at most.
    refuse : callable, optional
        Refuses the request of a client because too many wait, without waiting itself.
    most_queued : int
        Requests that may wait for a place, if there is a `refuse`.

    Attributes
    ----------
    serve : callable
        As given; may be replaced at any time.
    slots : Slots
        For the requests that are worked on: as many as there may be threads, its limit.
    most_queued : int
        As given; may be changed at any time.
    """

    def __init__(
        self,
        serve: Callable[[DownstreamConnection, ThreadState], None],
        abandon: Callable[[DownstreamConnection], None],
        waits: BlockedThreads,
        limit: int,
        refuse: Callable[[DownstreamConnection, ThreadState], None] | None = None,
        most_queued: int = 0,
    ) -> None:
        self.serve, self._abandon, self._waits = serve, abandon, waits
        self._queue: queue.SimpleQueue[DownstreamConnection | None] = queue.SimpleQueue()
        self.slots: Slots[DownstreamConnection] = Slots(limit, self._queue.put)
        self._refuse, self.most_queued = refuse, most_queued
        self._refusing = threading.Lock()
        """Held while a request is refused, by whichever thread has submitted it; it guards `_refused`."""
        self._refused = ThreadState()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._workers: list[ThreadState] = [self._refused]
        self._retired = Tally()
        self._idle: set[int] = set()
        self._looks: list[tuple[int, int]] = []
        self._least_idle = self._surplus = 0
        self._next_look = self._next_review = 0.0
        self._stopped = False

    def count_with(self, worker: ThreadState) -> None:
        """Count what another thread counts with `worker` among the rest, as long as the proxy runs."""
        with self._lock:
            self._workers.append(worker)

    def start(self) -> None:
        """Start the first threads."""
        for _ in range(min(AT_FIRST, self.slots.limit)):
            self._start_one()

    def submit(self, client: DownstreamConnection) -> None:
        """Have a client's request answered, or refused if too many wait; never waits."""
        suspended = client.suspended
        if suspended is not None and suspended.has_slot:
            self._queue.put(client)
            return
        admitted = suspended is not None and suspended.is_admitted
        if self._refuse is None or admitted or self.slots.waiting < self.most_queued:
            self.slots.enqueue(client)
            return
        with self._refusing:
            try:
                self._refuse(client, self._refused)
            except Exception as fault:  # noqa: BLE001
                report(fault)
                self._abandon(client)

    @property
    def count(self) -> int:
        """Threads now."""
        return len(self._threads)

    def tally(self) -> Tally:
        """What all workers have counted."""
        with self._lock:
            return summed([self._retired, *(worker.tally for worker in self._workers)])

    @property
    def queued(self) -> int:
        """Requests that wait for a place, or with one for a thread."""
        return self._queue.qsize() + self.slots.waiting

    def adjust(self, now: float) -> float | None:
        """Start or let go threads as needed; called by the front thread, often.

        Parameters
        ----------
        now : float
            Monotonic seconds.

        Returns
        -------
        float or None
            Seconds until it must be called again, or None if there is no need.
        """
        waiting, threads = self._queue.qsize(), len(self._threads)
        if not waiting and threads <= AT_FIRST:
            self._looks.clear()
            return None
        if now >= self._next_look:
            self._next_look = now + SAMPLE
            idle = len(self._idle)
            self._least_idle = min(self._least_idle, idle)
            self._looks.append((threads - self._waits.count(), idle))
            if len(self._looks) == SAMPLES:
                could_run, idle_mean = (sum(column) / SAMPLES for column in zip(*self._looks, strict=True))
                self._looks.clear()
                for _ in range(self.lacking(could_run, waiting, threads)):
                    self._start_one()
                if could_run - idle_mean > TOO_MANY:
                    self._surplus = max(self._surplus, 1)
            if now >= self._next_review:
                self._surplus = max(self._surplus, self._least_idle)
                self._next_review, self._least_idle = now + UNNEEDED, threads
        return self._next_look - now if waiting else None

    def lacking(self, could_run: float, waiting: int, threads: int) -> int:
        """How many threads to start.

        Parameters
        ----------
        could_run : float
            Workers that could run, on average.
        waiting : int
            Requests in the queue.
        threads : int
            Threads that there are.
        """
        if could_run >= TOO_FEW and threads > 0:
            return 0
        # Twice as many while hardly one could run: a burst of slow requests must not wait long.
        step = max(1, threads) if could_run < TOO_FEW / 2 else 1
        return max(0, min(waiting, step, self.slots.limit - threads))

    def busy_with(self, serve: Callable[[DownstreamConnection, ThreadState], None]) -> bool:
        """Whether a worker still runs `serve`."""
        with self._lock:
            return any(worker.serving == serve for worker in self._workers)

    def stop(self, patience: float) -> None:
        """Let every thread finish what it does, and end.

        Parameters
        ----------
        patience : float
            Seconds for all of them; who needs longer ends later, or with the process.
        """
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        for _ in threads:
            self._queue.put(None)
        deadline = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.let_go()

    def let_go(self) -> None:
        """After the stop: give up what waits, for nobody will work on it."""
        rest: list[DownstreamConnection | None] = [*self.slots.drain()]
        with contextlib.suppress(queue.Empty):
            while True:
                rest.append(self._queue.get_nowait())
        for client in rest:
            if client is not None and client.suspended is not None:
                client.suspended.abandon()
        with self._lock:
            for _ in self._threads:  # those who are late
                self._queue.put(None)

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._run, name="proxy-worker", daemon=True)
        with self._lock:
            if not self._stopped:
                self._threads.add(thread)
                thread.start()

    def _run(self) -> None:
        worker = ThreadState()
        with self._lock:
            self._workers.append(worker)
        try:
            while (client := self._next()) is not None:
                self._work(client, worker)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
                self._workers.remove(worker)
                self._retired = summed([self._retired, worker.tally])

    def _next(self) -> DownstreamConnection | None:
        if self._surplus and self._leave():
            return None
        me = threading.get_ident()
        self._idle.add(me)
        client = self._queue.get()
        self._idle.discard(me)
        return client

    def _leave(self) -> bool:
        """Whether the calling worker is to end."""
        with self._lock:
            if self._surplus == 0 or len(self._threads) <= AT_FIRST:
                self._surplus = 0
                return False
            self._surplus -= 1
            self._threads.discard(threading.current_thread())
            return True

    def _work(self, client: DownstreamConnection, worker: ThreadState) -> None:
        handled = False
        request = client.suspended
        worker.serving = serve = (
            request.generation.serve if isinstance(request, RequestContext) else self.serve
        )
        try:
            serve(client, worker)
            handled = True
        finally:
            self.slots.release()
            worker.serving = None
            if not handled:
                self._abandon(client)
