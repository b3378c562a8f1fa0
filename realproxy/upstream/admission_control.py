"""Admission to a service, before an upstream is picked: rate limit, queue, breaker.

Threads. Workers call `enter` and `leave`. Both decide under the service's lock, which is never held while a
request waits. A request in the queue waits for its ticket, a lock that the worker of a leaving request
releases.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from policies.resilience import BoundedQueue, Precautions, deadline
from realproxy.errors import LocalReply, Termination
from realproxy.runtime.blocking import BlockedThreads


class AdmissionControl:
    """The admission of one service; `decisions` and `lock` are the service's."""

    def __init__(self, name: str, decisions: Precautions, lock: threading.Lock) -> None:
        self._name, self._decisions, self._lock = name, decisions, lock

    def enter(self, waits: BlockedThreads, until: float | None = None) -> float:
        """Let a request in, perhaps after a wait in the queue; `leave` must follow, with the time returned.

        `until` is when the request must be over, on the monotonic clock. Raises `LocalReply`: 429 above the
        rate, 503 above the limit or if the breaker is open, each with Retry-After (RFC 9110, 10.2.3); 504 if
        the request's time is over before.
        """
        rate, queue, breaker = self._decisions.rate, self._decisions.queue, self._decisions.breaker
        now = time.monotonic()
        if rate is not None:
            with self._lock:
                allowed, wait = rate.allows(now), rate.retry_after(now)
            if not allowed:
                raise self._refusal(429, Termination.RATE_LIMITED, "too many requests", wait)
        if queue is not None and self._enter_queue(queue, waits, now, until):
            now = time.monotonic()
        if breaker is not None:
            with self._lock:
                allowed, wait = breaker.allows(now), breaker.retry_after(now)
            if not allowed:
                self._admit_next(now, None)
                reason = "failing, and left alone for a while"
                raise self._refusal(503, Termination.BREAKER_OPEN, reason, wait)
        return now

    def leave(self, failed: bool | None, entered: float) -> None:
        """End a request; `failed` is None if it was cancelled."""
        breaker = self._decisions.breaker
        if breaker is not None:
            with self._lock:
                breaker.ended(failed, entered, time.monotonic())
        self._admit_next(entered, failed)

    def _enter_queue(
        self, queue: BoundedQueue[Any], waits: BlockedThreads, now: float, until: float | None
    ) -> bool:
        """Let a request in; returns whether it had to wait."""
        ticket = threading.Lock()
        with self._lock:
            if queue.enter(ticket, now):
                return False
            if waits_for_ticket := queue.waits(ticket):
                ticket.acquire()
        seconds, status = deadline.patience(queue.wait, until, now)
        if waits_for_ticket:
            with waits.blocking():
                admitted = ticket.acquire(timeout=seconds)
            if admitted:
                return True
            with self._lock:
                if not queue.give_up(ticket):
                    return True  # admitted in the last moment
        if status == 504 and waits_for_ticket:
            raise LocalReply(
                504, Termination.UPSTREAM_SLOW, f"service {self._name}: the time for the request is over"
            )
        raise self._refusal(503, Termination.OVERLOADED, "too many requests in flight", max(queue.wait, 1.0))

    def _admit_next(self, entered: float, failed: bool | None) -> None:
        queue = self._decisions.queue
        if queue is not None:
            with self._lock:
                tickets = queue.leave(time.monotonic(), entered, failed)
            for ticket in tickets:
                ticket.release()

    def _refusal(self, status: int, end: Termination, why: str, wait: float) -> LocalReply:
        fields = b"Retry-After: %d\r\n" % max(1, math.ceil(wait))
        return LocalReply(status, end, f"service {self._name}: {why}", fields=fields)
