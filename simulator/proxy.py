"""The proxy's model: threads, one core, a cache, and a balancer for each service.

Every decision is taken by the class in `policies` that the real proxy calls; here is only the
time that it takes.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator

from simpy import Environment, Event

from policies.caching import ObjectCache, build_cache
from policies.eviction import charged_size
from scenarios.records import NO_UPSTREAM
from scenarios.schema import Scenario
from scenarios.workload import Request
from simulator.backend import build_replica
from simulator.costs import Costs, link_sampler
from simulator.routes import Answer, Plans
from simulator.service import Service
from simulator.slots import Slots, StepSeries

HIT: Answer = 200, True, NO_UPSTREAM


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
        self._store_lock, self._hit_lock = Slots(env, 1), scenario.proxy.cache.hit_lock
        self._plans = Plans(scenario)
        rng = random.Random(f"{scenario.seed}/cache")
        self._cache: ObjectCache[bool] = build_cache(scenario.proxy.cache, rng)
        self.replicas = [
            build_replica(env, backend, copy, costs.service_extra)
            for backend in scenario.backend.values()
            for copy in range(backend.replicas)
        ]
        self._services = {
            name: Service(env, name, scenario, self.replicas, costs.upstream_link)
            for name in scenario.proxy.service
        }
        self.inside = StepSeries()

    def handle(self, request: Request, now: float) -> Generator[Event, None, Answer]:
        """Answer one request that is sent `now`; returns when the client has the answer."""
        env, core, cpu = self._env, self._core, self._miss_cpu
        self.inside.note(now)
        turn = self._threads.enter()
        if turn is not None:
            yield turn
            now = env.now
        plan = self._plans[request.object]
        answer = plan.own_answer
        if plan.lookup and self._cache.lookup(request.object, now):
            answer = HIT
        if answer is not None:
            link = self._hit_link
            yield from self._answer_at_once(answer)
        else:
            link = self._miss_link
            service = self._services[plan.service]
            if cpu:
                yield core.hold(cpu)
                core.leave()
                now = env.now
            if service.resilience is not None:
                answer, index = yield from service.resilience.ask(request, now)
            else:
                index = service.dispatch.start(None, now)
                replica = service.replicas[index]
                yield replica.begin(request.demand[service.backends[index]], now)
                replica.end(env.now)
                if self._upstream_link:
                    yield env.timeout(self._upstream_link)
                service.dispatch.finish(index, env.now - now, env.now)
                answer = service.answers[index]
            if cpu:
                yield core.hold(cpu)
                core.leave()
            if plan.lookup and answer[0] == 200:
                self._store(request, plan.lifetime.get(service.backends[index]))
        self._threads.leave()
        self.inside.note(-env.now)
        if link is not None:
            yield env.timeout(link())
        return answer

    def _answer_at_once(self, answer: Answer) -> Iterator[Event]:
        if self._hit_lock and answer[1]:
            yield self._store_lock.hold(self._hit_lock)
            self._store_lock.leave()
        if self._hit_cpu:
            yield self._core.hold(self._hit_cpu)
            self._core.leave()

    def _store(self, request: Request, lifetime: float | None) -> None:
        if lifetime is not None:
            now = self._env.now
            self._cache.store(request.object, True, charged_size(request.size), now + lifetime, now)
