"""Background revalidation: a stale response was sent, now a fresh one is fetched. RFC 5861, 3

A revalidation is a request that begins at the phase `open_upstream`, and whose client takes nothing.

Threads. At most `REFRESHES_AT_ONCE`, started when first needed and ended by `stop` or `retire`. The lock
protects their number and that of the jobs. A job owns its request. The store lets one job at a time
revalidate a key.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import cast

from policies.http_cache.reuse import REFRESHES_AT_ONCE
from realproxy.cache.store import CacheStore
from realproxy.cache.writer import CacheWriter
from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.record import RequestRecord
from realproxy.proxying.context import RequestContext
from realproxy.proxying.pipeline import OPEN_UPSTREAM, run
from realproxy.proxying.worker import ThreadState
from realproxy.upstream.pool import ConnectionPool

END_PATIENCE = 2.0
"""Seconds that a stop waits for jobs whose connections were shut down."""


class StoreOnlyClient:
    """Stands for the client of a revalidation: only the store takes the response."""

    ends = None
    """Upstreams are told of no client's connection."""
    ending = leaving = may_block = False
    buffer = b""

    def __init__(self, address: str) -> None:
        self.address = address
        self.unsent: list[bytes | memoryview] = []
        self.send_filters: list[object] = []

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Take `pieces`, and drop them."""
        return sum(map(len, pieces))

    def reset_on_close(self) -> None:
        """There is nothing to close."""


class BackgroundRevalidation:
    """Fetches responses again for the store alone."""

    def __init__(self, store: CacheStore, pool: ConnectionPool) -> None:
        self._store, self._pool = store, pool
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._ended = False

    def submit(self, request: RequestContext, writer: CacheWriter) -> None:
        """Revalidate soon, unless that is under way; `request` was answered with the stale response."""
        store, key = self._store, writer.key
        if not store.lock_revalidation(key):
            return
        again = _again(request, writer)

        def job() -> None:
            try:
                run(again)
            finally:
                again.end_upstream()
                store.unlock_revalidation(key)

        if not self._enqueue(job):
            store.unlock_revalidation(key)

    def retire(self) -> None:
        """Finish all jobs, and end the threads."""
        for thread in self._end():
            thread.join()

    def stop(self) -> None:
        """Abort all jobs, and end the threads. No client is served any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()
        threads = self._end()
        self._pool.close_all()
        self._pool.abort()
        deadline = time.monotonic() + END_PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _enqueue(self, job: Callable[[], None]) -> bool:
        """Queue a job; returns False if no more jobs are taken."""
        with self._lock:
            if self._ended:
                return False
            self._unfinished += 1
            self._jobs.put(job)
            if len(self._threads) < min(self._unfinished, REFRESHES_AT_ONCE):
                thread = threading.Thread(target=self._run_jobs, name="proxy-refresh", daemon=True)
                with contextlib.suppress(RuntimeError):  # too many threads: the job waits for one of ours
                    thread.start()
                    self._threads.append(thread)
        return True

    def _end(self) -> list[threading.Thread]:
        """Take no more jobs; returns the threads, which end after the queued jobs."""
        with self._lock:
            self._ended = True
            for _ in self._threads:
                self._jobs.put(None)
            return list(self._threads)

    def _run_jobs(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                try:
                    job()
                finally:
                    with self._lock:
                        self._unfinished -= 1
        finally:
            with self._lock:
                self._threads.remove(threading.current_thread())


def _again(request: RequestContext, writer: CacheWriter) -> RequestContext:
    """The request of a revalidation, at the phase where it begins."""
    now = time.monotonic()
    record = RequestRecord(request.record.client, now, now)
    record.trace = request.record.trace
    record.head, record.side, record.service = request.head, request.record.side, request.record.service
    # The stand-in has all that the phases from there on use of a client.
    client = cast(DownstreamConnection, StoreOnlyClient(request.client.address))
    again = RequestContext(
        request.generation, client, ThreadState(), record, request.head, keep=True, may_block=True
    )
    again.route, again.access, again.writer = request.route, request.access, writer
    again.whole, again.phase = True, OPEN_UPSTREAM
    return again
