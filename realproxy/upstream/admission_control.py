"""Admission to a service, before an upstream is picked: rate limit, queue, breaker.

Threads. Workers call `enter`, and `leave` or `release`. All decide under the service's lock, which is never
held while a request waits. A request in the queue waits for its ticket, a lock that the worker of a leaving
request releases.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from policies.resilience import BoundedQueue, CircuitBreaker, Precautions, deadline
from realproxy.errors import LocalReply, Termination, WouldBlock
from realproxy.messages.deadline import over
from realproxy.runtime.blocking import BlockedThreads


class AdmissionControl:
    """The admission of one service; `decisions` and `lock` are the service's."""

    def __init__(self, name: str, decisions: Precautions, lock: threading.Lock) -> None:
        self._name, self._lock = name, lock
        self._rate, self._queue, self._breaker = decisions.rate, decisions.queue, decisions.breaker

    def enter(self, waits: BlockedThreads | None, until: float | None = None) -> float:
        """Let a request in, perhaps after a wait in the queue; `leave` must follow, with the time returned.

        Without `waits`, this thread must not wait: `WouldBlock` if it would, before anything has changed.
        `until` is when the request must be over, on the monotonic clock. Raises `LocalReply`: 429 above the
        rate, 503 above the limit or if the breaker is open, each with Retry-After (RFC 9110, 10.2.3); 504 if
        the request's time is over before.
        """
        queue, rate, breaker = self._queue, self._rate, self._breaker
        now, ticket = time.monotonic(), None
        with self._lock:
            if waits is None and queue is not None and queue.wait and queue.is_full(now):
                raise WouldBlock
            if rate is not None and not rate.allows(now):
                reason = "too many requests"
                raise self._refusal(429, Termination.RATE_LIMITED, reason, rate.retry_after(now))
            if queue is None or queue.proceed(now):
                if breaker is not None and not breaker.allows(now):
                    raise self._left_alone(breaker, now)
                return now
            if queue.wait:
                ticket = threading.Lock()
                ticket.acquire()
                if not queue.line_up(ticket):
                    ticket = None
        if ticket is None:
            raise self._overloaded(queue)
        self._wait(queue, ticket, waits, now, until)
        now = time.monotonic()
        with self._lock:
            if breaker is not None and not breaker.allows(now):
                raise self._left_alone(breaker, now)
        return now

    def leave(self, failed: bool | None, entered: float) -> None:
        """End a request; `failed` is None if it was cancelled."""
        with self._lock:
            self.release(failed, entered, time.monotonic())

    def release(self, failed: bool | None, entered: float, now: float) -> None:
        """As `leave`, for a caller that holds the service's lock."""
        if self._breaker is not None:
            self._breaker.ended(failed, entered, now)
        if self._queue is not None:
            for ticket in self._queue.leave(now, entered, failed):
                ticket.release()

    def _left_alone(self, breaker: CircuitBreaker, now: float) -> LocalReply:
        """Refuse a request that the queue has let in; called under the lock."""
        for ticket in () if self._queue is None else self._queue.leave(now):
            ticket.release()
        reason = "failing, and left alone for a while"
        return self._refusal(503, Termination.BREAKER_OPEN, reason, breaker.retry_after(now))

    def _wait(
        self, queue: BoundedQueue[Any], ticket: threading.Lock, waits: BlockedThreads | None, now: float,
        until: float | None,
    ) -> None:  # fmt: skip
        """Wait for the ticket; raises `LocalReply` if that is in vain."""
        seconds, status = deadline.patience(queue.wait, until, now)
        assert waits is not None
        with waits.blocking():
            admitted = ticket.acquire(timeout=seconds)
        if admitted:
            return
        with self._lock:
            if not queue.give_up(ticket):
                return  # admitted in the last moment
        raise over() if status == 504 else self._overloaded(queue)

    def _overloaded(self, queue: BoundedQueue[Any]) -> LocalReply:
        return self._refusal(503, Termination.OVERLOADED, "too many requests in flight", max(queue.wait, 1.0))

    def _refusal(self, status: int, end: Termination, why: str, wait: float) -> LocalReply:
        fields = b"Retry-After: %d\r\n" % max(1, math.ceil(wait))
        return LocalReply(status, end, f"service {self._name}: {why}", fields=fields)
