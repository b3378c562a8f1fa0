"""Copies of requests for another service, whose answers are dropped.

A copy is sent after the upstream has answered the client's request, so it can delay nothing. It is a request
that begins at the phase `open_upstream`, and whose client takes nothing.

Threads. At most `policies.settings.Mirror.in_flight` copies are under way, each in a thread of
`BackgroundJobs`. The lock protects the counts. A job owns its request.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from policies.settings import Mirror as MirrorSettings
from realproxy.http1 import CHUNKED
from realproxy.proxying.context import RequestContext, RouteVisit
from realproxy.proxying.revalidation import detached_request
from realproxy.runtime.background_jobs import BackgroundJobs


class Mirror:
    """Sends copies of the requests of one route. `run` takes a request through its phases."""

    def __init__(
        self, settings: MirrorSettings, rng: random.Random, run: Callable[[RequestContext], Any]
    ) -> None:
        self.settings, self._rng, self._run = settings, rng, run
        self._jobs = BackgroundJobs("proxy-mirror", settings.in_flight)
        self._lock = threading.Lock()
        self._in_flight = 0
        self.sent = self.failed = self.skipped = 0

    def submit(self, request: RequestContext, visit: RouteVisit) -> None:
        """Send a copy of a request, unless chance, its body or the bound forbids it, or it was an upgrade."""
        with self._lock:
            if self._rng.random() >= self.settings.share:
                return
            body = self._body_of(request)
            if body is None or self._in_flight >= self.settings.in_flight:
                self.skipped += 1
                return
            self._in_flight += 1
        again = detached_request(request, request.head, self.settings.to, body)
        again.visit = visit.again(again.record)
        again.visit.trial = None

        def job() -> None:
            try:
                self._run(again)
                again.end_upstream()
            finally:
                with self._lock:
                    self._in_flight -= 1
                    self.sent += 1
                    self.failed += not 0 < again.record.status < 500

        if not self._jobs.submit(job):
            with self._lock:
                self._in_flight -= 1
                self.skipped += 1

    def _body_of(self, request: RequestContext) -> bytes | None:
        """The request's body; None if it is too long to be copied, or not all of it was kept."""
        if request.response is not None and request.response.status == 101:
            return None  # what follows is no HTTP, and would come from the client
        head, trip = request.head, request.round_trip
        if head.framing == 0:
            return b""
        if head.framing == CHUNKED or head.framing > self.settings.body or trip is None or trip.body is None:
            return None
        kept = trip.body.kept() if trip.body.done else None
        return b"".join(kept) if kept is not None else None

    def counts(self) -> dict[str, Any]:
        """Copies that were sent, that failed there, that were skipped, and that are under way."""
        with self._lock:
            return {
                "to": self.settings.to, "sent": self.sent, "failed": self.failed, "skipped": self.skipped,
                "in_flight": self._in_flight,
            }  # fmt: skip

    def retire(self) -> None:
        """Send the copies that wait, and end the threads."""
        self._jobs.retire()

    def stop(self, abort: Callable[[], None]) -> None:
        """Send no more copies, `abort` the connections of those under way, and end the threads."""
        self._jobs.stop(abort)
