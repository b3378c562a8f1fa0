"""The proxy's model: threads, one core, a cache, and a balancer for each service.

Every decision is taken by the class in `policies` that the real proxy calls; here is only the
time that it takes.
"""

from __future__ import annotations

import random
from collections.abc import Generator

from simpy import Environment, Event

from policies.balancing import Dispatch, dispatch_rng
from policies.caching import ObjectCache, build_cache
from policies.eviction import charged_size
from scenarios.records import NO_UPSTREAM
from scenarios.schema import Scenario
from scenarios.workload import Request
from simulator.backend import Replica
from simulator.costs import Costs, link_sampler
from simulator.routes import Plan, Plans
from simulator.slots import Slots, StepSeries

Answer = tuple[int, bool, int]
"""Status, whether it was a hit, and the number of the replica that answered."""


class Service:
    """A service's balancer and the replicas that it chooses among.

    Parameters
    ----------
    name : str
        The service's name in the proxy's settings.
    scenario : Scenario
    replicas : list of Replica
        All of the scenario's, in the order of `Scenario.replicas`.
    """

    def __init__(self, name: str, scenario: Scenario, replicas: list[Replica]) -> None:
        settings = scenario.proxy.service[name]
        backends = list(scenario.backend)
        names = scenario.replicas
        self.replicas: list[Replica] = []
        self.numbers: list[int] = []
        self.backends: list[int] = []
        weight: list[float] = []
        for upstream in settings.upstreams:
            for copy in range(scenario.backend[upstream.address].replicas):
                number = names.index(f"{upstream.address}/{copy}")
                self.numbers.append(number)
                self.replicas.append(replicas[number])
                self.backends.append(backends.index(upstream.address))
                weight.append(upstream.weight)
        self.dispatch = Dispatch(settings.balance, weight, dispatch_rng(scenario.seed, name))


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
        self._costs = costs
        rng = random.Random(f"{scenario.seed}/links/{luck}")
        self._hit_link = link_sampler(costs.client_link, costs.hit_spread, rng)
        self._miss_link = link_sampler(costs.client_link, costs.miss_spread, rng)
        self._core = Slots(env, 1)
        self._threads = Slots(env, scenario.proxy.limits.threads)
        self._plans = Plans(scenario)
        rng = random.Random(f"{scenario.seed}/cache")
        self._cache: ObjectCache[bool] = build_cache(scenario.proxy.cache, rng)
        self.replicas = [
            Replica(env, backend, copy, costs.service_extra)
            for backend in scenario.backend.values()
            for copy in range(backend.replicas)
        ]
        self._services = {name: Service(name, scenario, self.replicas) for name in scenario.proxy.service}
        self.inside = StepSeries(env)

    def handle(self, request: Request) -> Generator[Event, None, Answer]:
        """Answer one request; returns when the client has the answer."""
        self.inside.add(1)
        turn = self._threads.enter()
        if turn is not None:
            yield turn
        plan = self._plans[request.object]
        answer = self._from_store(request, plan)
        link = self._hit_link
        if answer is not None:
            yield from self._compute(self._costs.hit_cpu)
        else:
            answer = yield from self._fetch(request, plan)
            link = self._miss_link
        self._threads.leave()
        self.inside.add(-1)
        way = link()
        if way:
            yield self._env.timeout(way)
        return answer

    def _from_store(self, request: Request, plan: Plan) -> Answer | None:
        if plan.service is None:
            return plan.status, False, NO_UPSTREAM
        if plan.lookup and self._cache.lookup(request.object, self._env.now):
            return 200, True, NO_UPSTREAM
        return None

    def _fetch(self, request: Request, plan: Plan) -> Generator[Event, None, Answer]:
        env, costs = self._env, self._costs
        assert plan.service is not None
        service = self._services[plan.service]
        yield from self._compute(costs.miss_cpu / 2)
        started = env.now
        index = service.dispatch.start(None, started)
        yield from service.replicas[index].serve(request.demand[service.backends[index]])
        if costs.upstream_link:
            yield env.timeout(costs.upstream_link)
        service.dispatch.finish(index, env.now - started, env.now)
        yield from self._compute(costs.miss_cpu / 2)
        answer = plan.answers.get(service.backends[index])
        if answer is not None:
            size, now = charged_size(request.size), env.now
            self._cache.store(request.object, True, size, now + answer.lifetime, now, now + answer.kept)
        return 200, False, service.numbers[index]

    def _compute(self, demand: float) -> Generator[Event, None, None]:
        if demand:
            turn = self._core.enter()
            if turn is not None:
                yield turn
            yield self._env.timeout(demand)
            self._core.leave()
