"""The proxy's model: threads, one core, a cache, and a balancer for each service.

Every decision is taken by the class in `policies` that the real proxy calls; here is only the
time that it takes.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator

from simpy import Environment, Event

from policies.coalescing import Flights
from policies.reuse import REFRESHES_AT_ONCE, Use
from scenarios.fetches import FetchLog
from scenarios.records import NO_UPSTREAM
from scenarios.schema import Scenario
from scenarios.workload import Request
from simulator.backend import build_replica
from simulator.costs import Costs, link_sampler
from simulator.life import Life
from simulator.routes import Plan, Plans, Reply
from simulator.service import Service
from simulator.slots import Slots, StepSeries
from simulator.store import Store

HIT: Reply = 200, True, NO_UPSTREAM


class Proxy:
    """Answers requests, from its cache or through a service.

    Parameters
    ----------
    env : simpy.Environment
    scenario : Scenario
        The proxy's settings and the backends.
    costs : Costs
        What a request costs besides the backend's work.
    luck : int
        Another number draws other link times; workload and balancers' chances stay the same.

    Attributes
    ----------
    replicas : list of Replica
        Every replica of the scenario, in the order of `Scenario.replicas`.
    inside : StepSeries
        Requests that are in the proxy.
    fetches : FetchLog or None
        What the replicas have done, if there is a cache.
    """

    def __init__(self, env: Environment, scenario: Scenario, costs: Costs, luck: int = 0) -> None:
        self._env = env
        self._hit_cpu, self._miss_cpu = costs.hit_cpu, costs.miss_cpu / 2
        self._upstream_link = costs.upstream_link
        rng = random.Random(f"{scenario.seed}/links/{luck}")
        self._hit_link = link_sampler(costs.client_link, costs.hit_spread, rng)
        self._miss_link = link_sampler(costs.client_link, costs.miss_spread, rng)
        self._core = Slots(env, 1)
        self._threads = Slots(env, scenario.proxy.limits.threads)
        self._hit_lock, self._hit_lock_s = Slots(env, 1), scenario.proxy.cache.hit_lock
        self._plans = Plans(scenario)
        rng = random.Random(f"{scenario.seed}/cache")
        self._store = Store(scenario.proxy.cache, rng)
        self._refreshers = Slots(env, REFRESHES_AT_ONCE)
        self.replicas = [
            build_replica(env, backend, copy, costs.service_extra)
            for backend in scenario.backend.values()
            for copy in range(backend.replicas)
        ]
        self.fetches = FetchLog() if scenario.proxy.caching else None
        self._services = {
            name: Service(env, name, scenario, self.replicas, costs.upstream_link, self.fetches)
            for name in scenario.proxy.service
        }
        self._flights: Flights[Event] = Flights()
        self.inside = StepSeries()

    def handle(self, request: Request, now: float) -> Generator[Event, None, Reply]:
        """Answer one request that is sent `now`; returns when the client has the reply."""
        self.inside.note(now)
        turn = self._threads.enter()
        if turn is not None:
            yield turn
            now = self._env.now
        plan = self._plans[request.object]
        reply = plan.own_reply
        if plan.lookup and (use := self._store.lookup(request.object, now)) is not Use.ASK:
            reply = HIT
            if use is Use.BEHIND and self._store.claim(request.object):
                Life(self._refresh(request, plan))
        if reply is not None:
            link = self._hit_link
            yield from self._answer_at_once(reply)
        else:
            link = self._miss_link
            fetch = self._fetch_once if plan.coalesce else self._fetch
            reply = yield from fetch(request, plan, now)
        self._threads.leave()
        self.inside.note(-self._env.now)
        if link is not None:
            yield self._env.timeout(link())
        return reply

    def _fetch(self, request: Request, plan: Plan, now: float) -> Generator[Event, None, Reply]:
        env, core, cpu = self._env, self._core, self._miss_cpu
        service = self._services[plan.service]
        if cpu:
            yield core.hold(cpu)
            core.leave()
            now = env.now
        if service.resilience is not None:
            reply, index = yield from service.resilience.ask(request, now)
        else:
            index = service.dispatch.start(None, now)
            replica = service.replicas[index]
            yield replica.begin(request.demand[service.backends[index]], now)
            replica.end(env.now)
            if self.fetches is not None:
                self.fetches.note(request.object, now, env.now)
            if self._upstream_link:
                yield env.timeout(self._upstream_link)
            service.dispatch.finish(index, env.now - now, env.now)
            reply = service.replies[index]
        if cpu:
            yield core.hold(cpu)
            core.leave()
        return self._learn(request, plan, reply, service.backends[index]) if plan.lookup else reply

    def _learn(self, request: Request, plan: Plan, reply: Reply, backend: int) -> Reply:
        """Store an answer; instead of a failure, send what is stored as long as that is allowed."""
        if reply[0] == 200:
            answer = plan.answers.get(backend)
            if answer is not None:
                self._store.put(request, answer, reply[2], self._env.now)
        elif reply[0] >= 500 and (copy := self._store.stand_in(request.object, self._env.now)) is not None:
            return 200, False, copy.upstream
        return reply

    def _refresh(self, request: Request, plan: Plan) -> Generator[Event, None, None]:
        """Fetch anew what was answered stale, behind the answer."""
        turn = self._refreshers.enter()
        if turn is not None:
            yield turn
        yield from self._fetch(request, plan, self._env.now)
        self._refreshers.leave()
        self._store.disclaim(request.object)

    def _fetch_once(self, request: Request, plan: Plan, now: float) -> Generator[Event, None, Reply]:
        """Fetch, or wait for who does; a reply that may not be stored is for one request alone."""
        turn = self._env.event()
        if not self._flights.join(request.object, turn):
            yield turn
            if turn.value:
                yield from self._answer_at_once(HIT)
                return HIT
            return (yield from self._fetch(request, plan, self._env.now))
        reply = yield from self._fetch(request, plan, now)
        shared = reply[0] == 200 and any(answer.lifetime > 0 for answer in plan.answers.values())
        for waiter in self._flights.landed(request.object):
            waiter.succeed(shared)
        return reply

    def _answer_at_once(self, reply: Reply) -> Iterator[Event]:
        if self._hit_lock_s and reply[1]:
            yield self._hit_lock.hold(self._hit_lock_s)
            self._hit_lock.leave()
        if self._hit_cpu:
            yield self._core.hold(self._hit_cpu)
            self._core.leave()
