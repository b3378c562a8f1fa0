"""A service: its balancer, and what it does when upstreams are slow, failing or overloaded.

The decisions are `policies.resilience`'s; here is when they are asked, and the time that it takes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from simpy import Environment, Event

from policies.balancing import Dispatch, dispatch_rng
from policies.resilience import (
    BoundedQueue,
    CircuitBreaker,
    HealthChecks,
    Membership,
    PassiveEjection,
    RetryBudget,
    TokenBucket,
)
from policies.settings import Health
from scenarios.records import NO_UPSTREAM
from scenarios.schema import Scenario
from scenarios.workload import Request
from simulator.backend import Replica
from simulator.life import Life
from simulator.routes import Reply

Outcome = tuple[Reply, int]
"""A reply, and which of the service's upstreams gave it."""


class Service:
    """A service's balancer and the replicas that it chooses among.

    Parameters
    ----------
    env : simpy.Environment
    name : str
        The service's name in the proxy's settings.
    scenario : Scenario
    replicas : list of Replica
        All of the scenario's, in the order of `Scenario.replicas`.
    upstream_link : float
        Seconds, see `simulator.Costs`.

    Attributes
    ----------
    resilience : Resilience or None
        ``None`` if nothing can go wrong and nothing is switched on; the proxy then asks the
        upstream by itself, which is what most scenarios do most of the time.
    """

    def __init__(
        self, env: Environment, name: str, scenario: Scenario, replicas: list[Replica], upstream_link: float
    ) -> None:
        settings = scenario.proxy.service[name]
        backends = list(scenario.backend)
        names = scenario.replicas
        self.replicas: list[Replica] = []
        self.replies: list[Reply] = []
        self.backends: list[int] = []
        weight: list[float] = []
        for upstream in settings.upstreams:
            for copy in range(scenario.backend[upstream.address].replicas):
                number = names.index(f"{upstream.address}/{copy}")
                self.replies.append((200, False, number))
                self.replicas.append(replicas[number])
                self.backends.append(backends.index(upstream.address))
                weight.append(upstream.weight)
        rng = dispatch_rng(scenario.seed, name)
        self.dispatch = Dispatch(settings.balance, weight, rng, snapshot=settings.load_snapshot)
        keys = ("health", "eject", "retry", "hedge", "breaker", "queue", "rate")
        failing = any(scenario.backend[upstream.address].fail for upstream in settings.upstreams)
        late = scenario.proxy.limits.answer_timeout < scenario.duration
        self.resilience: Resilience | None = None
        if failing or late or any(getattr(settings, key) is not None for key in keys):
            self.resilience = Resilience(env, name, scenario, self, upstream_link)


class Resilience:
    """The long way to an answer: rate limit, breaker, queue, then attempts with time-outs.

    Parameters
    ----------
    env : simpy.Environment
    name : str
        The service's name in the proxy's settings.
    scenario : Scenario
    service : Service
        Whose upstreams are asked.
    upstream_link : float
        Seconds, see `simulator.Costs`.
    """

    def __init__(
        self, env: Environment, name: str, scenario: Scenario, service: Service, upstream_link: float
    ) -> None:
        settings = scenario.proxy.service[name]
        count = len(service.replicas)
        self._env, self._service, self._link = env, service, upstream_link
        self._late = scenario.proxy.limits.answer_timeout
        self._rate = None if settings.rate is None else TokenBucket(settings.rate)
        breaker, queue, eject = settings.breaker, settings.queue, settings.eject
        self._breaker = None if breaker is None else CircuitBreaker(breaker.failures, breaker.open)
        self._queue = None if queue is None else BoundedQueue(queue.in_flight, queue.wait)
        self._eject = None if eject is None else PassiveEjection(count, eject.errors, eject.for_, eject.most)
        self._attempts = 1 if settings.retry is None else settings.retry.attempts
        share = None if settings.retry is None else settings.retry.budget
        self._budget = None if share is None else RetryBudget(share)
        self._hedge_after = None if settings.hedge is None else settings.hedge.after
        self._members = Membership(service.dispatch.upstreams)
        if settings.health is not None:
            checks = HealthChecks(count, settings.health.rise, settings.health.fall)
            for index in range(count):
                Life(self._probe(index, checks, settings.health, scenario.duration))

    def ask(self, request: Request, now: float) -> Generator[Event, None, Outcome]:
        """The service's answer, or the proxy's refusal: 429 by rate, 503 by breaker or queue."""
        if self._rate is not None and not self._rate.allows(now):
            return _refusal(429)
        if self._queue is None:
            return (yield from self._through_breaker(request))
        turn = self._env.event()
        if not self._queue.enter(turn):
            if not self._queue.wait:
                return _refusal(503)
            yield first(self._env, turn, self._env.timeout(self._queue.wait))
            if self._queue.give_up(turn):
                return _refusal(503)
        outcome = yield from self._through_breaker(request)
        following = self._queue.leave()
        if isinstance(following, Event):
            following.succeed()
        return outcome

    def _through_breaker(self, request: Request) -> Generator[Event, None, Outcome]:
        if self._breaker is None:
            return (yield from self._try(request))
        began = self._env.now
        if not self._breaker.allows(began):
            return _refusal(503)
        outcome = yield from self._try(request)
        self._breaker.ended(_failed(outcome), began, self._env.now)
        return outcome

    def _try(self, request: Request) -> Generator[Event, None, Outcome]:
        """Attempts until one succeeds, or there are no more to make."""
        if self._budget is not None:
            self._budget.requested()
        left = self._attempts
        while True:
            outcome = yield from self._hedged(request)
            left -= 1
            if not _failed(outcome) or not left or not (self._budget is None or self._budget.spend()):
                return outcome

    def _hedged(self, request: Request) -> Generator[Event, None, Outcome]:
        """One attempt; a second beside it if it takes long, and the first answer of both."""
        env = self._env
        done = env.event()
        Life(self._attempt(request, done))
        if self._hedge_after is None:
            yield first(env, done)
        else:
            yield first(env, done, env.timeout(self._hedge_after))
            if not done.triggered:
                Life(self._attempt(request, done))
                yield first(env, done)
        outcome: Outcome = done.value
        return outcome

    def _attempt(self, request: Request, done: Event) -> Iterator[Event]:
        """Ask one upstream; `done` has the outcome, unless another attempt was earlier."""
        env, service = self._env, self._service
        now = env.now
        if self._eject is not None:
            for index in self._eject.returning(now):
                self._members.readmit(index, "ejected", now)
        index = service.dispatch.start(None, now)
        replica = service.replicas[index]
        outcome = _refusal(502)
        if replica.up:
            work = self._begin(replica, request.demand[service.backends[index]], now)
            broken = replica.broken
            yield first(env, work, broken, env.timeout(self._late))
            if not (work.processed or broken.triggered):
                outcome = _refusal(504)
            elif not broken.triggered:
                outcome = service.replies[index], index
        if self._link:
            yield env.timeout(self._link)
        self._ended(index, now, _failed(outcome))
        if not done.triggered:
            done.succeed(outcome)

    def _begin(self, replica: Replica, demand: float, now: float) -> Event:
        """Work that goes on to its end, whether anyone still waits for it or not."""
        life, work, done = replica.life, replica.begin(demand, now), self._env.event()

        def end(_event: Event) -> None:
            if replica.life == life:
                replica.end(self._env.now)
                done.succeed()

        assert work.callbacks is not None
        work.callbacks.append(end)
        return done

    def _ended(self, index: int, began: float, failed: bool) -> None:
        now = self._env.now
        self._service.dispatch.finish(index, now - began, now)
        if self._eject is not None and self._eject.ended(index, failed, now):
            self._members.exclude(index, "ejected", now)

    def _probe(self, index: int, checks: HealthChecks, health: Health, end: float) -> Iterator[Event]:
        """Probes that cost nothing and are answered by whoever is up."""
        env, replica = self._env, self._service.replicas[index]
        while env.now + health.every < end:
            yield env.timeout(health.every)
            verdict = checks.probed(index, replica.up)
            if verdict is True:
                self._members.readmit(index, "unhealthy", env.now)
            elif verdict is False:
                self._members.exclude(index, "unhealthy", env.now)


def first(env: Environment, *events: Event) -> Event:
    """An event that fires when the first of `events` does."""
    won = env.event()

    def fire(_event: Event) -> None:
        if not won.triggered:
            won.succeed()

    for event in events:
        assert event.callbacks is not None
        event.callbacks.append(fire)
    return won


def _refusal(status: int) -> Outcome:
    return (status, False, NO_UPSTREAM), 0


def _failed(outcome: Outcome) -> bool:
    return outcome[0][0] >= 500
