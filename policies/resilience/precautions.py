"""All resilience decisions of one service."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any, Literal

from policies.balancing import Upstreams
from policies.concurrency import concurrency_limits
from policies.resilience.attempts import Attempts
from policies.resilience.breaker import CircuitBreaker
from policies.resilience.budget import RetryBudget
from policies.resilience.ejection import PassiveEjection
from policies.resilience.health import HealthChecks
from policies.resilience.membership import Membership
from policies.resilience.queueing import BoundedQueue
from policies.resilience.rate import TokenBucket
from policies.resilience.success_rate import SuccessRates
from policies.settings import Eject, Service


class Precautions:
    """The resilience of one service, for the real proxy and the simulator.

    Parameters
    ----------
    settings : policies.settings.Service
        The service's table.
    upstreams : Upstreams
        What its balancer sees.
    rng : random.Random, optional
        For the concurrency limit, see `policies.concurrency.limit_rng`.

    Attributes
    ----------
    rate : TokenBucket or None
    queue : BoundedQueue or None
        There is one with `queue` or `limit` in the settings.
    breaker : CircuitBreaker or None
    checks : HealthChecks or None
    hedge_after : float or None
        Seconds.
    backoff : float
        Seconds before the first retry, see `policies.resilience.backoff_delay`.

    Notes
    -----
    Both twins call it in this order, so that they decide the same:

    1. `deadline.left` of the request: 504 if nothing is left.
    2. ``rate.allows(now)``, else 429.
    3. ``queue.enter(ticket, now)``. If that is false, the request waits for its ticket for the seconds of
       `deadline.patience`; 503 at once unless ``queue.waits(ticket)``. After them,
       ``queue.give_up(ticket)``: if that is true, the status of `patience`.
    4. ``breaker.allows(began)``, else ``queue.leave(began)`` and 503. `began` is when the queue let the
       request proceed; the time of step 2 without a queue.
    5. For every attempt: `refresh`, `Dispatch.start`; then `Dispatch.finish` and `ended`, in this order.
       `ended` is left out if the outcome is not known. After a failure `again`, and `backoff_delay`
       with the backoff's own random numbers; no retry if the request is due before its end.
    6. ``breaker.ended(failed, began, now)``, then ``queue.leave(now, began, failed)``; every ticket that
       comes out of it proceeds at this time. `failed` is `is_failure` of the last status (504 if it came
       too late), and None if the client left or the outcome is not known.

    Not locked: the real proxy calls it under its service's lock.
    """

    def __init__(self, settings: Service, upstreams: Upstreams, rng: random.Random | None = None) -> None:
        self._upstreams = upstreams
        self._members = Membership(upstreams)
        count = len(upstreams.load)
        breaker, retry, health = settings.breaker, settings.retry, settings.health
        self.rate = None if settings.rate is None else TokenBucket(settings.rate)
        self.queue = _queue(settings, rng)
        self.breaker = None if breaker is None else CircuitBreaker(breaker.failures, breaker.open)
        self.checks = None if health is None else HealthChecks(count, health.rise, health.fall)
        self.hedge_after = None if settings.hedge is None else settings.hedge.after
        self._eject = None if settings.eject is None else _ejection(settings.eject, count)
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
        """End the ejections that are over, and begin those by success rate; called before a pick."""
        if self._eject is None:
            return
        for index in self._eject.intervals(now):
            self._members.exclude(index, "ejected", now)
        for index in self._eject.returning(now):
            self._members.readmit(index, "ejected", now)

    def ended(self, index: int, failed: bool, now: float) -> None:
        """An attempt at upstream `index` has ended."""
        if self._eject is not None:
            for other in self._eject.intervals(now):
                self._members.exclude(other, "ejected", now)
            if self._eject.ended(index, failed, now):
                self._members.exclude(index, "ejected", now)

    def probed(self, index: int, good: bool, now: float) -> bool | None:
        """A health check of upstream `index` has ended; returns the new state if it changes, else None."""
        verdict = None if self.checks is None else self.checks.probed(index, good)
        if verdict is True:
            self._members.readmit(index, "unhealthy", now)
        elif verdict is False:
            self._members.exclude(index, "unhealthy", now)
        return verdict

    def change(self, come: Collection[int], gone: Collection[int], now: float) -> None:
        """Some upstreams come and others go, see `Membership.change`; nothing is known about who comes."""
        for index in come:
            if self._eject is not None:
                self._eject.forget(index)
            if self.checks is not None:
                self.checks.forget(index)
        self._members.change(come, gone, now)
        if self._eject is not None:
            self._eject.resize(self._members.present)

    def reasons(self, index: int) -> list[str]:
        """The reasons against upstream `index` now: ``ejected``, ``unhealthy``."""
        return self._members.reasons(index)

    def ejected_since(self, index: int) -> float | None:
        """When upstream `index` was ejected, if it is now."""
        return None if self._eject is None else self._eject.since(index)

    def ejections(self, index: int) -> int:
        """How often upstream `index` was ejected in all."""
        return 0 if self._eject is None else self._eject.times(index)


def _queue(settings: Service, rng: random.Random | None) -> BoundedQueue[Any] | None:
    """The queue of `limit` and `queue`: the limit rules, and the queue says who waits for it."""
    queue, limit = settings.queue, settings.limit
    order: Literal["fifo", "lifo"] = "fifo" if queue is None else queue.order
    wait, length = (0.0, None) if queue is None else (queue.wait, queue.length)
    if limit is not None:
        learned = concurrency_limits.build(
            limit.policy,
            limit.first,
            limit.min,
            limit.max,
            latency=limit.latency,
            rng=rng or random.Random(0),
        )
        return BoundedQueue(learned, wait, order, length)
    if queue is None:
        return None
    assert queue.in_flight is not None
    return BoundedQueue(queue.in_flight, wait, order, length)


def _ejection(eject: Eject, count: int) -> PassiveEjection:
    judged = eject.success_rate
    rates = None
    if judged is not None:
        rates = SuccessRates(count, judged.hosts, judged.requests, judged.deviations)
    return PassiveEjection(
        count, eject.errors, eject.for_, eject.most,
        grow=eject.grow, longest=eject.most_for, every=eject.every, rates=rates,
    )  # fmt: skip


def is_failure(status: int) -> bool:
    """Whether a status counts as a failure of the upstream: for retries, ejection and breakers."""
    return status >= 500
