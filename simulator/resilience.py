"""A watched request: rate limit, queue, breaker, then attempts with time limits.

`policies.resilience` takes the decisions; this file asks for them and adds the time.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from simpy import Environment, Event

from policies.concurrency import limit_rng
from policies.resilience import Attempts, BoundedQueue, Precautions, backoff_delay, is_failure
from policies.resilience.deadline import patience
from policies.settings import Health
from scenarios.schema import Scenario
from scenarios.workload import Request
from simulator.alarms import Alarms
from simulator.attempt import NO_LIMITS, TOO_LATE, TOO_MANY, UNAVAILABLE, Attempt, Limits
from simulator.hedging import HedgedAttempt
from simulator.processes import Life
from simulator.routes import Reply

if TYPE_CHECKING:
    from simulator.service import Service


class Place(Event):
    """A place in the bounded queue; fires when the request may proceed, or has waited too long.

    Attributes
    ----------
    heard : bool
        Whether it has fired.
    given_up : bool
        Whether the request has waited too long.
    """

    def __init__(self, env: Environment, queue: BoundedQueue[Place]) -> None:
        super().__init__(env)
        self._queue = queue
        self.heard = self.given_up = False

    def grant(self) -> None:
        """The request may proceed."""
        self.heard = True
        self.succeed()

    def late(self) -> None:
        """The request has waited too long."""
        self.heard = self.given_up = self._queue.give_up(self)
        self.succeed()


class Resilience:
    """A service with all options.

    Parameters
    ----------
    env : simpy.Environment
    name : str
        The service's name in the proxy's settings.
    scenario : Scenario
    service : Service
    upstream_link : float
        Seconds, see `simulator.Costs`.

    Attributes
    ----------
    env, service, link
        As above.
    decisions : Precautions
    alarms : Alarms
        All time limits of its requests.
    limit : float
        Seconds for a response.
    hedge_after : float
        Seconds until a second request is sent; 0 if none is.

    Notes
    -----
    Most scenarios that ask for resilience spend their time here. So a request runs in one generator, each
    attempt is one object, limits share one event (`Alarms`), and whoever ends a wait resumes the request.
    """

    def __init__(
        self, env: Environment, name: str, scenario: Scenario, service: Service, upstream_link: float
    ) -> None:
        settings = scenario.proxy.service[name]
        self.env, self.service, self.link = env, service, upstream_link
        self.decisions = Precautions(settings, service.dispatch.upstreams, limit_rng(scenario.seed, name))
        self.alarms = Alarms(env)
        self.limit = scenario.proxy.limits.answer_timeout
        self.hedge_after = self.decisions.hedge_after or 0.0
        self._hedged = self.decisions.hedge_after is not None
        self._backoff_rng = random.Random(f"{scenario.seed}/{name}/backoff")
        if settings.health is not None:
            for index in range(len(service.replicas)):
                Life(self._probe(index, settings.health, scenario.duration))

    def ask(self, request: Request, now: float, limits: Limits = NO_LIMITS) -> Generator[Event, None, Reply]:
        """The service's response, or the proxy's: 429 by rate, 503 by breaker or queue, 504 if it is due."""
        rate, queue, breaker = self.decisions.rate, self.decisions.queue, self.decisions.breaker
        if rate is not None and not rate.allows(now):
            return TOO_MANY
        if queue is not None:
            place = Place(self.env, queue)
            if not queue.enter(place, now):
                if not queue.waits(place):
                    return UNAVAILABLE
                wait, status = patience(queue.wait, limits.due, now)
                self.alarms.set(now + wait, place)
                yield place
                if place.given_up:
                    return UNAVAILABLE if status == UNAVAILABLE.status else TOO_LATE
                now = self.env.now
        failed = None
        if breaker is None or breaker.allows(now):
            reply = yield from self._attempts(request, now, limits)
            failed = is_failure(reply.status)
            if breaker is not None:
                breaker.ended(failed, now, self.env.now)
        else:
            reply = UNAVAILABLE
        if queue is not None:
            for following in queue.leave(self.env.now, now, failed):
                following.grant()
        return reply

    def _attempts(self, request: Request, now: float, limits: Limits) -> Generator[Event, None, Reply]:
        """Attempts until one succeeds, or no more are allowed."""
        attempts = self.decisions.attempts()
        if now >= limits.due:
            return TOO_LATE
        while True:
            attempt = self._attempt(request, now, attempts, limits)
            attempt.begin(now)
            if not attempt.over:
                yield attempt
            if not is_failure(attempt.reply.status):
                return attempt.reply
            if isinstance(attempt, Attempt):
                attempts.failed.append(attempt.index)
                yield self.env.timeout(0.0)  # let other failures of the same moment happen first
            delay = self._again(attempts, attempt)
            if delay is None or self.env.now + delay >= limits.due:
                return attempt.reply
            if delay:
                yield self.env.timeout(delay)
            now = self.env.now

    def _attempt(
        self, request: Request, now: float, attempts: Attempts, limits: Limits
    ) -> Attempt | HedgedAttempt:
        if self._hedged:
            return HedgedAttempt(self, request, attempts, limits)
        return Attempt(self, request, self.pick(request, now, attempts.failed), limits)

    def _again(self, attempts: Attempts, attempt: Attempt | HedgedAttempt) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        made, status = attempts.retries, attempt.reply.status
        if not self.decisions.again(attempts, refused=attempt.refused, repeatable=True, status=status):
            return None
        if not self.decisions.backoff or attempts.retries == made:
            return 0.0
        return backoff_delay(self.decisions.backoff, attempts.retries, self._backoff_rng)

    def pick(self, request: Request, now: float, avoided: Sequence[int]) -> int:
        """The upstream of the next attempt, which counts as outstanding from now on."""
        self.decisions.refresh(now)
        return self.service.dispatch.start(self.service.key(request), now, avoided)

    def _probe(self, index: int, health: Health, end: float) -> Iterator[Event]:
        """Probes cost no time and succeed if the replica is up."""
        env, replica = self.env, self.service.replicas[index]
        while env.now + health.every < end:
            yield env.timeout(health.every)
            self.decisions.probed(index, replica.healthy, env.now)
