"""A service: its balancer, and what it does when upstreams are slow, failing or overloaded.

`policies.resilience` takes the decisions; this file asks for them and adds the time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from simpy import Environment, Event

from policies.balancing import Dispatch, dispatch_rng
from policies.resilience import Attempts, Precautions, backoff_delay, is_failure
from policies.settings import Health
from scenarios.fetches import FetchLog
from scenarios.latency import Latency
from scenarios.schema import Scenario
from scenarios.workload import Request, client_address
from simulator.backend import Replica
from simulator.outcomes import Ended, HedgedAttempt, Outcome, has_failed, refusal
from simulator.processes import Handle, Life, first
from simulator.routes import NO_BACKEND, Reply

Judge = Callable[[bool, float], None]
"""Is told of the end of each attempt: whether it failed, and when it began."""


class UpstreamSide(NamedTuple):
    """What a proxy can ask.

    Attributes
    ----------
    replicas : list of Replica
        All replicas, in the order of `Scenario.replicas`.
    latency : Latency or None
        Of messages to and from them.
    following : mapping of str to Handle
        Send requests to the proxies behind this one, by their names.
    fetches : FetchLog or None
        Records the work of the replicas.
    watched : bool
        Whether the time limit of responses is modelled. Without it, `AnswerTooLate` is raised if a
        response exceeds the limit.
    """

    replicas: list[Replica]
    latency: Latency | None = None
    following: Mapping[str, Handle] = MappingProxyType({})
    fetches: FetchLog | None = None
    watched: bool = True


class AnswerTooLate(Exception):
    """A response exceeded `limits.answer_timeout` in a run that does not model this limit."""


class Next:
    """A proxy behind this one in the role of a replica; it is always up.

    Parameters
    ----------
    ask : Handle
        Sends a request to it.
    """

    up = True

    def __init__(self, ask: Handle) -> None:
        self.ask = ask


class Service:
    """A service's balancer and its upstreams.

    Parameters
    ----------
    env : simpy.Environment
    name : str
        The service's name in the proxy's settings.
    scenario : Scenario
    upstream_side : UpstreamSide
    upstream_link : float
        Seconds, see `simulator.Costs`.

    Attributes
    ----------
    is_local : bool
        Whether all upstreams are replicas without latency; the proxy then asks them directly.
    resilience : Resilience or None
        ``None`` if nothing can fail and no option is on; the proxy then asks an upstream directly, as
        in most scenarios.
    limit : float
        Seconds; a direct request that takes as long raises `AnswerTooLate`.
    key_of : callable or None
        Gives what hashing balancers hash of a request; ``None`` if that is its client.
    """

    def __init__(
        self,
        env: Environment,
        name: str,
        scenario: Scenario,
        upstream_side: UpstreamSide,
        upstream_link: float,
    ) -> None:
        self._env, self._link, self._latency = env, upstream_link, upstream_side.latency
        self._fetches = upstream_side.fetches
        settings = scenario.proxy.service[name]
        backends = list(scenario.backend)
        names = scenario.replicas
        self.replicas: list[Replica | Next] = []
        self.replies: list[Reply] = []
        self.backends: list[int] = []
        weight: list[float] = []
        for upstream in settings.upstreams:
            if upstream.address not in scenario.backend:
                following = Next(upstream_side.following[upstream.address])
                self._add(following, Reply(200), weight, upstream.weight)
                continue
            backend = backends.index(upstream.address)
            for copy in range(scenario.backend[upstream.address].replicas):
                number = names.index(f"{upstream.address}/{copy}")
                self._add(
                    upstream_side.replicas[number], Reply(200, 0, number, backend), weight, upstream.weight
                )
        self.is_local = upstream_side.latency is None and NO_BACKEND not in self.backends
        rng = dispatch_rng(scenario.seed, name)
        self.dispatch = Dispatch(settings.balance, weight, rng, snapshot=settings.load_snapshot)
        keys = ("health", "eject", "retry", "hedge", "breaker", "queue", "rate")
        self.key_of = _path_of if settings.hash_on == "path" else None
        failing = any(scenario.backend[backends[place]].fail for place in self.backends if place >= 0)
        timeout = scenario.proxy.limits.answer_timeout
        self.limit = timeout if timeout < scenario.duration else math.inf
        late = upstream_side.watched and self.limit < math.inf
        self.resilience: Resilience | None = None
        if failing or late or any(getattr(settings, key) is not None for key in keys):
            self.resilience = Resilience(env, name, scenario, self, upstream_link, upstream_side.fetches)

    def _add(self, replica: Replica | Next, reply: Reply, weights: list[float], weight: float) -> None:
        self.replicas.append(replica)
        self.replies.append(reply)
        self.backends.append(reply.backend)
        weights.append(weight)

    def key(self, request: Request) -> str:
        """What hashing balancers hash."""
        return request.client if self.key_of is None else self.key_of(request)

    def reply_of(self, index: int) -> Reply:
        """The response of upstream `index`, whose work has ended."""
        replica, reply = self.replicas[index], self.replies[index]
        if isinstance(replica, Replica) and replica.own_error is not None and replica.own_error():
            return reply._replace(status=500)
        return reply

    def ask_remote(
        self, request: Request, now: float, judge: Judge | None = None
    ) -> Generator[Event, None, Reply]:
        """The response of an upstream that is another proxy or behind a link."""
        index = self.dispatch.start(self.key(request), now)
        reply = yield from self.reach(index, request)
        if self._env.now >= now + self.limit:
            raise AnswerTooLate
        if self._link:
            yield self._env.timeout(self._link)
        self.finished(index, reply, now, self._env.now, judge)
        return reply

    def finished(self, index: int, reply: Reply, began: float, done: float, judge: Judge | None) -> None:
        """Take note of the end of a request at upstream `index`."""
        failed = is_failure(reply.status)
        self.dispatch.finish(index, done - began, done, failed)
        if judge is not None:
            judge(failed, began)

    def reach(self, index: int, request: Request) -> Generator[Event, None, Reply]:
        """The response of a remote upstream; 502 if it is down or goes down."""
        env, replica, latency = self._env, self.replicas[index], self._latency
        if isinstance(replica, Next):
            return (yield from replica.ask(request._replace(client=client_address(0)), env.now))
        if latency is not None:
            yield env.timeout(latency())
        reply = Reply(502)
        if replica.up:
            began, life, broken = env.now, replica.life, replica.broken
            yield first(env, replica.begin(request.demand[self.backends[index]], began), broken)
            if replica.life == life:
                replica.end(env.now)
                if self._fetches is not None:
                    self._fetches.note(request.object, began, env.now)
                reply = self.reply_of(index)
        if latency is not None:
            yield env.timeout(latency())
        return reply


class Resilience:
    """A request with all options: rate limit, breaker, queue, then attempts with timeouts.

    Parameters
    ----------
    env : simpy.Environment
    name : str
        The service's name in the proxy's settings.
    scenario : Scenario
    service : Service
    upstream_link : float
        Seconds, see `simulator.Costs`.
    fetches : FetchLog or None
        Records the work of the replicas.
    """

    def __init__(
        self,
        env: Environment,
        name: str,
        scenario: Scenario,
        service: Service,
        upstream_link: float,
        fetches: FetchLog | None,
    ) -> None:
        settings = scenario.proxy.service[name]
        self._env, self._service, self._link = env, service, upstream_link
        self._fetches = fetches
        self._limit = scenario.proxy.limits.answer_timeout
        self._decisions = Precautions(settings, service.dispatch.upstreams)
        self._backoff_rng = random.Random(f"{scenario.seed}/{name}/backoff")
        if settings.health is not None:
            for index in range(len(service.replicas)):
                Life(self._probe(index, settings.health, scenario.duration))

    def ask(
        self, request: Request, now: float, judge: Judge | None = None
    ) -> Generator[Event, None, Outcome]:
        """The service's response, or the proxy's refusal: 429 by rate, 503 by breaker or queue."""
        rate, queue = self._decisions.rate, self._decisions.queue
        if rate is not None and not rate.allows(now):
            return refusal(429)
        if queue is None:
            return (yield from self._through_breaker(request, judge))
        grant = self._env.event()
        if not queue.enter(grant, now):
            if not queue.wait:
                return refusal(503)
            yield first(self._env, grant, self._env.timeout(queue.wait))
            if queue.give_up(grant):
                return refusal(503)
        outcome = yield from self._through_breaker(request, judge)
        for following in queue.leave(self._env.now):
            following.succeed()
        return outcome

    def _through_breaker(self, request: Request, judge: Judge | None) -> Generator[Event, None, Outcome]:
        breaker = self._decisions.breaker
        if breaker is None:
            return (yield from self._attempts(request, judge))
        began = self._env.now
        if not breaker.allows(began):
            return refusal(503)
        outcome = yield from self._attempts(request, judge)
        breaker.ended(has_failed(outcome), began, self._env.now)
        return outcome

    def _attempts(self, request: Request, judge: Judge | None) -> Generator[Event, None, Outcome]:
        """Attempts until one succeeds, or no more are allowed."""
        attempts = self._decisions.attempts()
        attempt = self._attempt if self._decisions.hedge_after is None else self._hedged_attempt
        while True:
            outcome, refused = yield from attempt(request, attempts, judge)
            if not has_failed(outcome):
                return outcome
            made, status = attempts.retries, outcome[0].status
            if not self._decisions.again(attempts, refused=refused, repeatable=True, status=status):
                return outcome
            if self._decisions.backoff and attempts.retries > made:
                delay = backoff_delay(self._decisions.backoff, attempts.retries, self._backoff_rng)
                yield self._env.timeout(delay)

    def _attempt(
        self, request: Request, attempts: Attempts, judge: Judge | None
    ) -> Generator[Event, None, Ended]:
        """One attempt at one upstream."""
        index = self._pick(request, attempts.failed)
        outcome, refused = yield from self._try_one(request, index, judge=judge)
        if has_failed(outcome):
            attempts.failed.append(index)
            yield self._env.timeout(0.0)  # let other failures of the same moment happen first
        return outcome, refused

    def _hedged_attempt(
        self, request: Request, attempts: Attempts, judge: Judge | None
    ) -> Generator[Event, None, Ended]:
        """One attempt, with a second request beside it if the first is slow; the first response counts."""
        env, hedged = self._env, HedgedAttempt(self._env, attempts)
        self._begin_try(request, hedged, judge)
        yield first(env, hedged.done, env.timeout(self._decisions.hedge_after))
        if not hedged.done.triggered:
            self._begin_try(request, hedged, judge)
            yield first(env, hedged.done)
        return hedged.outcome, hedged.refused

    def _begin_try(self, request: Request, hedged: HedgedAttempt, judge: Judge | None) -> None:
        index = self._pick(request, (*hedged.attempts.failed, *hedged.tries))
        hedged.tries.append(index)

        def one_try() -> Iterator[Event]:
            outcome, refused = yield from self._try_one(request, index, hedged.done, judge)
            if not hedged.done.triggered:
                hedged.ended(index, outcome, refused)

        Life(one_try())

    def _pick(self, request: Request, avoided: Sequence[int]) -> int:
        now = self._env.now
        self._decisions.refresh(now)
        return self._service.dispatch.start(self._service.key(request), now, avoided)

    def _try_one(
        self, request: Request, index: int, given_up: Event | None = None, judge: Judge | None = None
    ) -> Generator[Event, None, Ended]:
        """Ask upstream `index`, until it answers or fails, or `given_up` fires."""
        env, service = self._env, self._service
        began, replica = env.now, service.replicas[index]
        outcome, refused = refusal(502), not replica.up
        stop = () if given_up is None else (given_up,)
        if not service.is_local:
            outcome = yield from self._ask_remote(request, index, stop)
        elif not refused and isinstance(replica, Replica):
            outcome = yield from self._ask_local(request, index, replica, stop)
        if self._link and not (stop and stop[0].triggered):
            yield first(env, env.timeout(self._link), *stop)
        now, cancelled = env.now, bool(stop) and stop[0].triggered
        failed = has_failed(outcome) and not cancelled
        service.dispatch.finish(index, now - began, now, failed)
        if not cancelled:
            self._decisions.ended(index, failed, now)
            if judge is not None:
                judge(failed, began)
        return outcome, refused

    def _ask_local(
        self, request: Request, index: int, replica: Replica, stop: Sequence[Event]
    ) -> Generator[Event, None, Outcome]:
        """Ask a replica without latency. It may go down; it continues its work after a timeout."""
        env, service = self._env, self._service
        work = self._begin(replica, request, service.backends[index], env.now)
        broken = replica.broken
        yield first(env, work, broken, env.timeout(self._limit), *stop)
        if broken.triggered:
            return refusal(502)
        return (service.reply_of(index), index) if work.processed else refusal(504)

    def _ask_remote(
        self, request: Request, index: int, stop: Sequence[Event]
    ) -> Generator[Event, None, Outcome]:
        """Ask another proxy, or a replica behind a link; it, too, continues its work after a timeout."""
        answered = self._env.event()

        def fetch() -> Iterator[Event]:
            answered.succeed((yield from self._service.reach(index, request)))

        Life(fetch())
        yield first(self._env, answered, self._env.timeout(self._limit), *stop)
        return (answered.value, index) if answered.triggered else refusal(504)

    def _begin(self, replica: Replica, request: Request, backend: int, now: float) -> Event:
        """Begin work that continues to its end even if no request waits for it any more."""
        life, work, done = replica.life, replica.begin(request.demand[backend], now), self._env.event()

        def end(_event: Event) -> None:
            if replica.life == life:
                replica.end(self._env.now)
                if self._fetches is not None:
                    self._fetches.note(request.object, now, self._env.now)
                done.succeed()

        assert work.callbacks is not None
        work.callbacks.append(end)
        return done

    def _probe(self, index: int, health: Health, end: float) -> Iterator[Event]:
        """Probes cost no time and succeed if the replica is up."""
        env, replica = self._env, self._service.replicas[index]
        while env.now + health.every < end:
            yield env.timeout(health.every)
            self._decisions.probed(index, replica.up, env.now)


def _path_of(request: Request) -> str:
    return f"/objects/{request.object}"
