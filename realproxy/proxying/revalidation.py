"""Revalidation behind the client's back: a stale answer was sent, now a fresh one is fetched. RFC 5861, 3

Threads. At most `REFRESHES_AT_ONCE`, started when first needed and ended by `stop` or `retire`; the lock
guards their number and that of the jobs. A job owns its upstream connection and its recording; the
store's claim lets one job at a time work on a key.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence

from policies.http_cache.reuse import REFRESHES_AT_ONCE
from realproxy.cache.writer import CacheWriter
from realproxy.errors import Aborted, LocalReply
from realproxy.http1 import Malformed, RequestHead
from realproxy.messages.headers import upstream_request
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.proxying.forward_access import target_host
from realproxy.proxying.response import ResponseForwarder
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.proxying.worker import ThreadState
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.target import FixedTarget, ServiceTarget, UpstreamTarget

END_PATIENCE = 2.0
"""Seconds that a stop waits for jobs whose connections were broken off."""


class _Nobody:
    """Takes an answer that only the store is interested in."""

    leaving = False

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        return sum(map(len, pieces))

    def reset_on_close(self) -> None:
        return


class BackgroundRevalidation:
    """Fetches answers again for the store alone.

    Parameters
    ----------
    site : ConfigSnapshot
        What the settings say.
    own : Address
        Where this proxy listens.
    """

    def __init__(self, site: ConfigSnapshot, own: Address) -> None:
        self._site, self._own = site, own
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._ended = False

    def refresh(
        self, key: bytes, service: str, head: RequestHead, client: str, recording: CacheWriter
    ) -> None:
        """Have a key revalidated soon, unless that is under way.

        Parameters
        ----------
        key : bytes
            In the store.
        service : str
            Of the reverse side; empty for the forward side.
        head : RequestHead
            The request that was answered stale.
        client : str
            Who sent it.
        recording : CacheWriter
            For the new answer.
        """
        store = self._site.store
        if not store.claim(key):
            return

        def run() -> None:
            try:
                self._fetch(service, head, client, recording)
            finally:
                store.disclaim(key)

        if not self._submit(run):
            store.disclaim(key)

    def retire(self) -> None:
        """Finish what is under way, and end all threads."""
        for thread in self._end():
            thread.join()

    def stop(self) -> None:
        """Break off what is under way, and end all threads. No client is served any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()
        threads = self._end()
        self._site.pool.close_all()
        self._site.pool.abort()
        deadline = time.monotonic() + END_PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _submit(self, job: Callable[[], None]) -> bool:
        """Have a job done; returns False if none is taken any more."""
        with self._lock:
            if self._ended:
                return False
            self._unfinished += 1
            self._jobs.put(job)
            if len(self._threads) < min(self._unfinished, REFRESHES_AT_ONCE):
                thread = threading.Thread(target=self._run_jobs, name="proxy-refresh", daemon=True)
                self._threads.append(thread)
                thread.start()
        return True

    def _end(self) -> list[threading.Thread]:
        """Take no more jobs; returns the threads, which end once those that wait are done."""
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

    def _fetch(self, service: str, head: RequestHead, client: str, recording: CacheWriter) -> None:
        now = time.monotonic()
        exchange = RequestRecord(client, now, now)
        exchange.head = head
        with contextlib.suppress(
            LocalReply, Malformed, Aborted
        ):  # what is stored stays until it is too stale
            if service:
                self._from_service(service, head, exchange, recording)
            else:
                self._from_anywhere(head, exchange, recording)

    def _from_service(
        self, service: str, head: RequestHead, exchange: RequestRecord, recording: CacheWriter
    ) -> None:
        def head_for(upstream: str) -> bytes:
            host = head.authority if head.host else upstream.encode()
            return upstream_request(head, host, exchange.client, recording.validators or (), whole=True)

        asked, waits = self._site.services[service], self._site.waits
        self._run(ServiceTarget(asked, exchange.client, exchange, head_for, waits), head, exchange, recording)

    def _from_anywhere(self, head: RequestHead, exchange: RequestRecord, recording: CacheWriter) -> None:
        forwarding = self._site.forwarding
        assert forwarding is not None
        addresses = forwarding.endpoints(target_host(head), head.port, self._own)
        request = forwarding.request_head(head, exchange.client, recording.validators or (), whole=True)
        self._run(FixedTarget(addresses, request), head, exchange, recording)

    def _run(
        self, way: UpstreamTarget, head: RequestHead, exchange: RequestRecord, recording: CacheWriter
    ) -> None:
        site = self._site
        hop = RoundTrip(site.pool, site.settings.limits, _Nobody(), exchange, head, way)
        fetch = ResponseForwarder(hop, recording, keep=True)
        fetch.run(ThreadState())
