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
from realproxy.errors import LocalReply, Termination, WouldBlock
from realproxy.messages.deadline import over
from realproxy.runtime.blocking import BlockedThreads


class AdmissionControl:
    """The admission of one service; `decisions` and `lock` are the service's."""

    def __init__(self, name: str, decisions: Precautions, lock: threading.Lock) -> None:
        self._name, self._decisions, self._lock = name, decisions, lock

    def enter(self, waits: BlockedThreads | None, until: float | None = None) -> float:
        """Let a request in, perhaps after a wait in the queue; `leave` must follow, with the time returned.

        Without `waits`, this thread must not wait: `WouldBlock` if it would, before anything has changed.
        `until` is when the request must be over, on the monotonic clock. Raises `LocalReply`: 429 above the
        rate, 503 above the limit or if the breaker is open, each with Retry-After (RFC 9110, 10.2.3); 504 if
        the request's time is over before.
        """
        queue, now = self._decisions.queue, time.monotonic()
        ticket = threading.Lock() if queue is not None else None
        waiting = False
        with self._lock:
            if waits is None and queue is not None and queue.wait and queue.is_full(now):
                raise WouldBlock
            self._check_rate(now)
            enters = queue is None or queue.enter(ticket, now)
            if enters:
                self._check_breaker(now)
            elif queue is not None and ticket is not None and queue.waits(ticket):
                waiting = ticket.acquire()
        if enters:
            return now
        assert queue is not None
        if not waiting or ticket is None:
            raise self._overloaded(queue)
        self._wait(queue, ticket, waits, now, until)
        now = time.monotonic()
        with self._lock:
            self._check_breaker(now)
        return now

    def leave(self, failed: bool | None, entered: float) -> None:
        """End a request; `failed` is None if it was cancelled."""
        queue, breaker = self._decisions.queue, self._decisions.breaker
        with self._lock:
            now = time.monotonic()
            if breaker is not None:
                breaker.ended(failed, entered, now)
            if queue is not None:
                for ticket in queue.leave(now, entered, failed):
                    ticket.release()

    def _check_rate(self, now: float) -> None:
        rate = self._decisions.rate
        if rate is not None and not rate.allows(now):
            raise self._refusal(429, Termination.RATE_LIMITED, "too many requests", rate.retry_after(now))

    def _check_breaker(self, now: float) -> None:
        """Refuse a request that the queue has let in."""
        breaker = self._decisions.breaker
        if breaker is not None and not breaker.allows(now):
            for ticket in () if self._decisions.queue is None else self._decisions.queue.leave(now):
                ticket.release()
            reason = "failing, and left alone for a while"
            raise self._refusal(503, Termination.BREAKER_OPEN, reason, breaker.retry_after(now))

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
