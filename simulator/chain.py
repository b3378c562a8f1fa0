"""Everything behind the clients: the proxies, each with its workers, and the backends."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import numpy as np
from simpy import Environment

from policies.workers import worker_seed
from scenarios.fetches import FetchLog
from scenarios.latency import Latency, latency_draws
from scenarios.schema import Scenario
from scenarios.workload import client_address
from simulator.backend import build_replica
from simulator.costs import Costs
from simulator.processes import Handle, over_link
from simulator.proxy import Proxy
from simulator.service import UpstreamSide
from simulator.sidecars import Sidecars
from simulator.slots import StepSeries
from simulator.store import TurnedOut
from simulator.workers import AcceptBalance, connect


class Chain:
    """The proxies and backends of a scenario.

    Parameters
    ----------
    env : simpy.Environment
    scenario : Scenario
    costs : Costs
        Time that a request takes besides the backend's work.
    luck : int
        Another number draws other link times, and nothing else.
    watched : bool
        See `simulator.service.UpstreamSide`.

    Attributes
    ----------
    inside : dict of str to StepSeries
        Requests in every proxy and replica, by name.
    fetches : FetchLog or None
        The work of the replicas, if there is a cache.
    calls : CallLog or None
        The calls between backends, if there are any.
    """

    def __init__(
        self, env: Environment, scenario: Scenario, costs: Costs, luck: int = 0, watched: bool = True
    ) -> None:
        self._env, self._scenario, self._costs, self._luck = env, scenario, costs, luck
        replicas = [
            build_replica(env, backend, name, copy, scenario.seed, costs.service_extra)
            for name, backend in scenario.backend.items()
            for copy in range(backend.replicas)
        ]
        link = scenario.link
        self._client_latency = latency_draws(link.client, scenario.seed, "client")
        self.fetches = FetchLog() if scenario.caching else None
        latency = latency_draws(link.backend, scenario.seed, "backend")
        proxies = [*scenario.chain, *scenario.sidecars.values()]
        upstream_side = UpstreamSide(
            replicas,
            latency,
            fetches=self.fetches,
            deadlines=any(route.timeout for proxy in proxies for route in proxy.route),
            watched=watched,
        )
        self._accept_balances = [
            AcceptBalance(proxy.workers, random.Random(f"{scenario.seed}/{name}/connections"))
            for name, proxy in zip(scenario.proxies, scenario.chain, strict=True)
        ]
        inside = (replica.inside for replica in replicas)
        self.inside = dict(zip(scenario.replicas, inside, strict=True))
        sidecars = Sidecars(env, scenario, costs.beside, upstream_side, luck)
        self.calls = sidecars.log if sidecars.ingress else None
        self.inside |= sidecars.inside
        self._upstream_side = upstream_side._replace(beside=sidecars.ingress)
        self._topology = scenario.topology
        self._workers: dict[int, list[Proxy]] = {}
        for number in self._topology.backwards:
            self._workers[number] = self._build(number)

    def connect(self, client: int = 0) -> Handle:
        """A handle by which a new client sends requests to its door."""
        doors = self._topology.doors
        door = doors[client % len(doors)]
        return self._connect(door, self._client_latency, [worker.handle for worker in self._workers[door]])

    def connect_all(self, clients: int) -> Handle:
        """A handle by which the load generator sends the requests of so many clients, each to its door."""
        doors = len(self._topology.doors)
        if doors == 1:
            return self.connect()
        handles = [self.connect(number) for number in range(doors)]
        by_client = {client_address(number): handles[number % doors] for number in range(clients)}
        return lambda request, now: by_client[request.client](request, now)

    @property
    def stuck(self) -> bool:
        """Whether requests are left for which nothing will happen any more."""
        doors = (self.inside[self._scenario.proxies[number]].steps for number in self._topology.doors)
        return any(2 * np.count_nonzero(np.signbit(steps)) < len(steps) for steps in doors)

    @property
    def turned_out(self) -> dict[str, TurnedOut]:
        """What each proxy that caches did not keep, see `TurnedOut`."""
        proxies = zip(self._scenario.proxies, self._scenario.chain, strict=True)
        return {
            name: sum((worker.turned_out for worker in self._workers[number]), TurnedOut())
            for number, (name, proxy) in enumerate(proxies)
            if proxy.caching
        }

    def _connect(self, number: int, latency: Latency | None, workers: list[Handle]) -> Handle:
        """A connection is busy while its messages are on the link."""
        ends = [over_link(self._env, worker, latency) for worker in workers]
        return connect(ends, self._accept_balances[number])

    def _build(self, number: int) -> list[Proxy]:
        """Build the workers of one proxy; the proxies behind it must exist."""
        hop = self._scenario.hop(number)
        costs = self._costs.hop(self._topology.tiers[number], door=number in self._topology.doors)
        inside = self.inside[self._scenario.proxies[number]] = StepSeries()
        workers = []
        for worker in range(hop.proxy.workers):
            own = hop.model_copy(update={"seed": worker_seed(hop.seed, worker)})
            upstream_side = self._upstream_side._replace(following=dict(self._following(number, worker)))
            workers.append(Proxy(self._env, own, costs, upstream_side, inside, number, self._luck))
        return workers

    def _following(self, number: int, worker: int) -> Iterator[tuple[str, Handle]]:
        """By name, a handle by which a worker of this proxy sends requests to each proxy behind it."""
        names = self._scenario.proxies
        for place, following in enumerate(self._topology.leads[number]):
            link = f"{names[number]}/{worker}" + (f"/{names[following]}" if place else "")
            latency = latency_draws(self._scenario.link.proxy, self._scenario.seed, link)
            from_proxy = [partial(one.handle, from_client=False) for one in self._workers[following]]
            yield names[following], self._connect(following, latency, from_proxy)
