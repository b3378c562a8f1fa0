"""Everything that stands behind the clients: proxies in a row, each of some workers, and the backends."""

from __future__ import annotations

import random

from simpy import Environment

from policies.workers import worker_seed
from scenarios.fetches import FetchLog
from scenarios.latency import Latency, latency_draws
from scenarios.schema import Scenario
from simulator.backend import build_replica
from simulator.costs import Costs
from simulator.processes import Handle, over_link
from simulator.proxy import Proxy
from simulator.service import Behind
from simulator.slots import StepSeries
from simulator.workers import Turns, connect


class Chain:
    """The proxies and backends of a scenario.

    Parameters
    ----------
    env : simpy.Environment
    scenario : Scenario
    costs : Costs
        What a request costs besides the backend's work.
    luck : int
        Another number draws other link times; workload and balancers' chances stay the same.
    watched : bool
        See `simulator.service.Behind`.

    Attributes
    ----------
    inside : dict of str to StepSeries
        Requests in every proxy and replica, by name.
    fetches : FetchLog or None
        What the replicas have done, if there is a cache.
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
        latency = scenario.link
        self._client_latency = latency_draws(latency.client, scenario.seed, "client")
        self.fetches = FetchLog() if scenario.caching else None
        far = latency_draws(latency.backend, scenario.seed, "backend")
        self._behind = Behind(replicas, far, fetches=self.fetches, watched=watched)
        self._turns = [
            Turns(proxy.workers, random.Random(f"{scenario.seed}/{name}/connections"))
            for name, proxy in zip(scenario.proxies, scenario.chain, strict=True)
        ]
        inside = (replica.inside for replica in replicas)
        self.inside = dict(zip(scenario.replicas, inside, strict=True))
        self._workers: list[list[Proxy]] = []
        for number in reversed(range(len(scenario.chain))):
            self._workers.insert(0, self._build(number))

    def connect(self) -> Handle:
        """How a new client asks the first proxy."""
        return self._connect(0, self._client_latency)

    def _connect(self, number: int, latency: Latency | None) -> Handle:
        """A connection is in use as long as its messages are under way."""
        ends = [over_link(self._env, worker.handle, latency) for worker in self._workers[0]]
        return connect(ends, self._turns[number])

    def _build(self, number: int) -> list[Proxy]:
        """The workers of one proxy; what is behind it is there already."""
        hop, costs = self._scenario.hop(number), self._costs.hop(number)
        inside = self.inside[self._scenario.proxies[number]] = StepSeries()
        workers = []
        for worker in range(hop.proxy.workers):
            own = hop.model_copy(update={"seed": worker_seed(hop.seed, worker)})
            behind = self._behind._replace(following=self._following(number, worker))
            workers.append(Proxy(self._env, own, costs, behind, inside, number, self._luck))
        return workers

    def _following(self, number: int, worker: int) -> Handle | None:
        """How a worker of one proxy asks the next."""
        if not self._workers:
            return None
        link = f"{self._scenario.proxies[number]}/{worker}"
        return self._connect(number + 1, latency_draws(self._scenario.link.proxy, self._scenario.seed, link))
