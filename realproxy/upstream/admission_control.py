"""What a request passes before an upstream is asked: rate limit, queue, breaker.

Threads. Workers call `enter` and `leave`. The decisions are taken under the service's lock, which
is never held while a request waits: one that waits in the queue sleeps on a lock of its own, its
ticket, which the worker whose request leaves opens.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from policies.resilience import BoundedQueue, Precautions
from realproxy.errors import LocalReply, Termination
from realproxy.runtime.blocking import BlockedThreads


class AdmissionControl:
    """The gate of one service.

    Parameters
    ----------
    name : str
        The service's name.
    decisions : policies.resilience.Precautions
        The service's.
    lock : threading.Lock
        The service's.
    """

    def __init__(self, name: str, decisions: Precautions, lock: threading.Lock) -> None:
        self._name, self._decisions, self._lock = name, decisions, lock

    def enter(self, waits: BlockedThreads) -> float:
        """Pass, perhaps after a wait; `leave` must follow.

        Returns
        -------
        float
            When the request passed, on the monotonic clock; to be handed to `leave`.

        Raises
        ------
        LocalReply
            429 above the rate, 503 if the queue is full or the breaker open; with Retry-After
            (RFC 9110, 10.2.3).
        """
        rate, queue, breaker = self._decisions.rate, self._decisions.queue, self._decisions.breaker
        now = time.monotonic()
        if rate is not None:
            with self._lock:
                passes, wait = rate.allows(now), rate.retry_after(now)
            if not passes:
                raise self._refusal(429, Termination.RATE_LIMITED, "too many requests", wait)
        if queue is not None:
            self._wait_for_turn(queue, waits)
        if breaker is not None:
            now = time.monotonic()
            with self._lock:
                passes, wait = breaker.allows(now), breaker.retry_after(now)
            if not passes:
                self._make_room()
                raise self._refusal(
                    503, Termination.BREAKER_OPEN, "failing, and left alone for a while", wait
                )
        return now

    def leave(self, failed: bool | None, entered: float) -> None:
        """A request that entered is over; None: nobody knows whether well."""
        breaker = self._decisions.breaker
        if breaker is not None:
            with self._lock:
                breaker.ended(failed, entered, time.monotonic())
        self._make_room()

    def _wait_for_turn(self, queue: BoundedQueue[Any], waits: BlockedThreads) -> None:
        ticket = threading.Lock()
        ticket.acquire()
        with self._lock:
            if queue.enter(ticket):
                return
        if queue.wait:
            with waits.blocking():
                turn_came = ticket.acquire(timeout=queue.wait)
            if turn_came:
                return
            with self._lock:
                if not queue.give_up(ticket):
                    return  # the turn came in the last moment
        raise self._refusal(503, Termination.OVERLOADED, "too many requests in flight", max(queue.wait, 1.0))

    def _make_room(self) -> None:
        queue = self._decisions.queue
        if queue is not None:
            with self._lock:
                ticket = queue.leave()
            if ticket is not None:
                ticket.release()

    def _refusal(self, status: int, end: Termination, why: str, wait: float) -> LocalReply:
        fields = b"Retry-After: %d\r\n" % max(1, math.ceil(wait))
        return LocalReply(status, end, f"service {self._name}: {why}", fields=fields)
