"""The workers: threads that answer requests, as many as help.

Threads. The event loop's thread and the workers share the slots, the queue and the waits, and nothing else. A
request in the queue holds a slot. Only the event loop's thread starts workers, in `adjust`; a worker ends
itself under the lock. Each worker keeps its own counts, which `WorkerPool.tally` may read at any time.

How many? One interpreter runs one thread at a time. Two or three threads that could run keep it busy; more
only add switching. So the pool steadies the number of workers that could run, not the number of threads. It
starts more, up to the limit, while requests wait and nearly all workers wait for upstreams or slow clients.
It ends workers if too many run, or if some were not needed for long.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.record import Tally, summed
from realproxy.proxying.context import RequestContext
from realproxy.proxying.worker import ThreadState
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.isolation import report
from realproxy.runtime.slots import Slots

AT_FIRST = 3
"""Threads that start with the pool, and stay."""
SAMPLE = 0.001
"""Seconds between two samples of what the workers do."""
SAMPLES = 5
"""Samples for one decision."""
TOO_FEW, TOO_MANY = 1.0, 3.5
"""Workers, on average: the pool grows if fewer could run, and shrinks if more do run."""
UNNEEDED = 10.0
"""Seconds for which a thread was not needed before it ends."""

Serve = Callable[[DownstreamConnection, ThreadState], None]


class WorkerPool:
    """A pool of workers, with at most as many threads as there are `slots` for requests.

    `serve` answers the requests of a client, and ends by handing the client on or closing it. `abandon`
    closes a client whose `serve` failed. `most_queued` requests may wait for a slot; `refuse` answers the
    client of any further request, and must not wait. `serve`, `most_queued` and the limit of `slots` may be
    changed at any time. `threads` are those that live now.
    """

    def __init__(
        self, serve: Serve, abandon: Callable[[DownstreamConnection], None], waits: BlockedThreads,
        limit: int, refuse: Serve | None = None, most_queued: int = 0,
    ) -> None:  # fmt: skip
        self.serve, self._abandon, self._waits = serve, abandon, waits
        self._queue: queue.SimpleQueue[DownstreamConnection | None] = queue.SimpleQueue()
        self.slots: Slots[DownstreamConnection] = Slots(limit, self._queue.put)
        self._refuse, self.most_queued = refuse, most_queued
        self._refusing = threading.Lock()
        """Held by the thread that refuses a request; guards `_refused`."""
        self._refused = ThreadState()
        self._lock = threading.Lock()
        self.threads: set[threading.Thread] = set()
        self._workers: list[ThreadState] = [self._refused]
        self._retired = Tally()
        self._idle: set[int] = set()
        self._samples: list[tuple[int, int]] = []
        self._least_idle = self._surplus = 0
        self._next_sample = self._next_review = 0.0
        self._stopped = False

    def count_with(self, worker: ThreadState) -> None:
        """Include the counts of another thread, which answers requests as long as the proxy runs."""
        with self._lock:
            self._workers.append(worker)

    def start(self) -> None:
        """Start the first threads."""
        for _ in range(min(AT_FIRST, self.slots.limit)):
            self._start_one()

    def submit(self, client: DownstreamConnection) -> None:
        """Have a worker answer a client's request, or refuse it if too many wait; never waits."""
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

    def tally(self) -> Tally:
        """The counts of all workers, with those that have ended."""
        with self._lock:
            return summed([self._retired, *(worker.tally for worker in self._workers)])

    @property
    def queued(self) -> int:
        """Requests that wait for a slot or, with a slot, for a thread."""
        return self._queue.qsize() + self.slots.waiting

    def adjust(self, now: float) -> float | None:
        """Start and end threads as needed; the event loop's thread calls this often.

        Returns the seconds until it must be called again, or None if there is no need.
        """
        waiting, threads = self._queue.qsize(), len(self.threads)
        if not waiting and threads <= AT_FIRST:
            self._samples.clear()
            return None
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE
            idle = len(self._idle)
            self._least_idle = min(self._least_idle, idle)
            self._samples.append((threads - self._waits.count(), idle))
            if len(self._samples) == SAMPLES:
                could_run, idle_mean = (sum(column) / SAMPLES for column in zip(*self._samples, strict=True))
                self._samples.clear()
                with contextlib.suppress(RuntimeError):  # too many threads: those that there are go on
                    for _ in range(self.lacking(could_run, waiting, threads)):
                        self._start_one()
                if could_run - idle_mean > TOO_MANY:
                    self._surplus = max(self._surplus, 1)
            if now >= self._next_review:
                self._surplus = max(self._surplus, self._least_idle)
                self._next_review, self._least_idle = now + UNNEEDED, threads
        return self._next_sample - now if waiting else None

    def lacking(self, could_run: float, waiting: int, threads: int) -> int:
        """How many threads to start, if on average `could_run` of the `threads` could run."""
        if could_run >= TOO_FEW and threads > 0:
            return 0
        # The number doubles while hardly one could run: a burst of slow requests must not wait long.
        step = max(1, threads) if could_run < TOO_FEW / 2 else 1
        return max(0, min(waiting, step, self.slots.limit - threads))

    def busy_with(self, serve: Serve) -> bool:
        """Whether a worker still runs `serve`."""
        with self._lock:
            return any(worker.serving == serve for worker in self._workers)

    def stop(self, patience: float) -> None:
        """Let every thread finish its request and end, within `patience` seconds.

        A thread that needs longer ends later, or with the process.
        """
        with self._lock:
            self._stopped = True
            threads = list(self.threads)
        for _ in threads:
            self._queue.put(None)
        deadline = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.let_go()

    def let_go(self) -> None:
        """After the stop: abandon the requests that wait, because no worker will take them."""
        rest: list[DownstreamConnection | None] = [*self.slots.drain()]
        with contextlib.suppress(queue.Empty):
            while True:
                rest.append(self._queue.get_nowait())
        for client in rest:
            if client is not None and client.suspended is not None:
                client.suspended.abandon()
        with self._lock:
            for _ in self.threads:  # those that are late
                self._queue.put(None)

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._run, name="proxy-worker", daemon=True)
        with self._lock:
            if not self._stopped:
                thread.start()  # before it is counted: this raises if there are too many threads
                self.threads.add(thread)

    def _run(self) -> None:
        worker = ThreadState()
        with self._lock:
            self._workers.append(worker)
        try:
            while (client := self._next()) is not None:
                self._work(client, worker)
        finally:
            with self._lock:
                self.threads.discard(threading.current_thread())
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
        """Whether the calling worker must end."""
        with self._lock:
            if self._surplus == 0 or len(self.threads) <= AT_FIRST:
                self._surplus = 0
                return False
            self._surplus -= 1
            self.threads.discard(threading.current_thread())
            return True

    def _work(self, client: DownstreamConnection, worker: ThreadState) -> None:
        request = client.suspended
        serve = request.generation.serve if isinstance(request, RequestContext) else self.serve
        worker.serving = serve
        try:
            serve(client, worker)
        except BaseException:
            self._abandon(client)
            raise
        finally:
            self.slots.release()
            worker.serving = None
