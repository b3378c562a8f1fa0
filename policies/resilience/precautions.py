"""All resilience decisions of one service."""

from __future__ import annotations

from typing import Any

from policies.balancing import Upstreams
from policies.resilience.attempts import Attempts
from policies.resilience.breaker import CircuitBreaker
from policies.resilience.budget import RetryBudget
from policies.resilience.ejection import PassiveEjection
from policies.resilience.health import HealthChecks
from policies.resilience.membership import Membership
from policies.resilience.queueing import BoundedQueue
from policies.resilience.rate import TokenBucket
from policies.settings import Service


class Precautions:
    """The resilience of one service, for the real proxy and the simulator.

    A request passes `rate`, `queue` and `breaker`, in this order. Then it makes its `attempts`; the caller
    reports each of them with `ended`.

    Parameters
    ----------
    settings : policies.settings.Service
        The service's table.
    upstreams : Upstreams
        What its balancer sees.

    Attributes
    ----------
    rate : TokenBucket or None
    queue : BoundedQueue or None
    breaker : CircuitBreaker or None
    checks : HealthChecks or None
    hedge_after : float or None
        Seconds.
    backoff : float
        Seconds before the first retry, see `policies.resilience.backoff_delay`.

    Notes
    -----
    Not locked: the real proxy calls it under its service's lock.
    """

    def __init__(self, settings: Service, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._members = Membership(upstreams)
        count = len(upstreams.load)
        breaker, queue, eject = settings.breaker, settings.queue, settings.eject
        retry, health = settings.retry, settings.health
        self.rate = None if settings.rate is None else TokenBucket(settings.rate)
        self.queue: BoundedQueue[Any] | None = None
        if queue is not None:
            self.queue = BoundedQueue(queue.in_flight, queue.wait)
        self.breaker = None if breaker is None else CircuitBreaker(breaker.failures, breaker.open)
        self.checks = None if health is None else HealthChecks(count, health.rise, health.fall)
        self.hedge_after = None if settings.hedge is None else settings.hedge.after
        self._eject = None if eject is None else PassiveEjection(count, eject.errors, eject.for_, eject.most)
        self._most = 1 if retry is None else retry.attempts
        self._budget = None if retry is None or retry.budget is None else RetryBudget(retry.budget)
        self._failover = settings.failover
        self._codes = None if retry is None or retry.codes is None else frozenset(retry.codes)
        self.backoff = 0.0 if retry is None else retry.backoff

    def attempts(self) -> Attempts:
        """The attempts of a new request."""
        return Attempts(self._most, self._budget, self._failover, self._codes)

    def again(self, attempts: Attempts, *, refused: bool, repeatable: bool, status: int = 0) -> bool:
        """Whether a request goes on to another upstream, see `Attempts.again`."""
        return attempts.again(
            refused=refused, repeatable=repeatable, available=self._upstreams.available, status=status
        )

    def refresh(self, now: float) -> None:
        """Readmit upstreams whose ejection is over; called before a pick."""
        if self._eject is not None:
            for index in self._eject.returning(now):
                self._members.readmit(index, "ejected", now)

    def ended(self, index: int, failed: bool, now: float) -> None:
        """An attempt at upstream `index` has ended."""
        if self._eject is not None and self._eject.ended(index, failed, now):
            self._members.exclude(index, "ejected", now)

    def probed(self, index: int, good: bool, now: float) -> bool | None:
        """A health check of upstream `index` has ended; returns the new state if it changes, else None."""
        verdict = None if self.checks is None else self.checks.probed(index, good)
        if verdict is True:
            self._members.readmit(index, "unhealthy", now)
        elif verdict is False:
            self._members.exclude(index, "unhealthy", now)
        return verdict

    def reasons(self, index: int) -> list[str]:
        """The reasons against upstream `index` now: ``ejected``, ``unhealthy``."""
        return self._members.reasons(index)


def is_failure(status: int) -> bool:
    """Whether a status counts as a failure of the upstream: for retries, ejection and breakers."""
    return status >= 500
