"""Background revalidation: a stale response was sent, now a fresh one is fetched. RFC 5861, 3

A revalidation is a request that begins at the phase `open_upstream`, and whose client takes nothing.

Threads. `REFRESHES_AT_ONCE` jobs at most run at once, each in a thread of `BackgroundJobs`. A job owns its
request. The store lets one job at a time revalidate a key.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

from policies.http_cache.reuse import REFRESHES_AT_ONCE
from realproxy.cache.store import CacheStore
from realproxy.cache.writer import CacheWriter
from realproxy.downstream.connection import DownstreamConnection
from realproxy.http1 import RequestHead
from realproxy.messages.record import RequestRecord
from realproxy.proxying.context import RequestContext
from realproxy.proxying.pipeline import OPEN_UPSTREAM, run
from realproxy.proxying.worker import ThreadState
from realproxy.runtime.background_jobs import BackgroundJobs
from realproxy.upstream.pool import ConnectionPool


class NoClient:
    """Stands for the client of a request that nobody waits for; `buffer` is the request's body."""

    ends = None
    """Upstreams are told of no client's connection."""
    ending = leaving = may_block = False
    pace = None

    def __init__(self, address: str, buffer: bytes) -> None:
        self.address, self.buffer = address, buffer
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
        self._jobs = BackgroundJobs("proxy-refresh", REFRESHES_AT_ONCE)

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

        if not self._jobs.submit(job):
            store.unlock_revalidation(key)

    def retire(self) -> None:
        """Finish all jobs, and end the threads."""
        self._jobs.retire()

    def stop(self) -> None:
        """Abort all jobs, and end the threads. No client is served any more."""
        self._jobs.stop(self._abort)

    def _abort(self) -> None:
        self._pool.close_all()
        self._pool.abort()


def _again(request: RequestContext, writer: CacheWriter) -> RequestContext:
    """The request of a revalidation, at the phase where it begins."""
    again = detached_request(request, request.head, request.record.service)
    again.route, again.access, again.writer = request.route, request.access, writer
    if request.visit is not None:
        again.visit = request.visit.again(again.record)
    again.whole = True
    return again


def detached_request(
    request: RequestContext, head: RequestHead, service: str, body: bytes = b""
) -> RequestContext:
    """A request like another one, for a service, that no client waits for; at the phase `open_upstream`."""
    now = time.monotonic()
    record = RequestRecord(request.record.client, now, now)
    record.trace = request.record.trace
    record.head, record.side, record.service = head, request.record.side, service
    # The stand-in has all that the phases from there on use of a client.
    client = cast(DownstreamConnection, NoClient(request.client.address, body))
    again = RequestContext(request.generation, client, ThreadState(), record, head, keep=True, may_block=True)
    again.phase = OPEN_UPSTREAM
    return again
