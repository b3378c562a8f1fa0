"""The sidecars of a call graph: each replica has a proxy beside it, for what it is asked and what it asks.

Both sides of a sidecar are one process: they share its core and its threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from simpy import Environment, Event

from policies.resilience import is_failure
from policies.settings import Route
from policies.workers import worker_seed
from scenarios.call_graph import callees_first
from scenarios.call_records import CallLog
from scenarios.call_tree import PlannedCall, Steps
from scenarios.fetches import FetchLog
from scenarios.latency import Latency
from scenarios.schema import Scenario
from scenarios.sidecars import INBOUND, sidecar_seed
from scenarios.workload import Request
from simulator.attempt import TOO_LATE
from simulator.backend import PAST_DUE, Replica
from simulator.costs import Costs
from simulator.processes import Asking, Handle, Life, first
from simulator.proxy import Proxy
from simulator.routes import Reply
from simulator.service import Next, UpstreamSide
from simulator.slots import StepSeries


class CallingReplica(Next):
    """A replica as its sidecar sees it: it works, asks others, and responds when all have answered.

    It holds its slot until then. After a failed call it makes no further ones, and responds 502; or 504, if
    the request is past its deadline.

    Parameters
    ----------
    env : simpy.Environment
    replica : Replica
    reply : Reply
        A good response of this replica.
    egress : mapping of int to Handle
        Send requests through its sidecar to the backends that it asks, by their numbers.
    link : float
        Seconds between it and its sidecar for a call, both directions together.
    latency : Latency or None
        Of the messages between its sidecar and itself.
    log : CallLog
        Records its calls.
    fetches : FetchLog or None
        Records its work.
    """

    def __init__(
        self,
        env: Environment,
        replica: Replica,
        reply: Reply,
        egress: Mapping[int, Handle],
        link: float,
        latency: Latency | None,
        log: CallLog,
        fetches: FetchLog | None,
    ) -> None:
        super().__init__(self._answer if latency is None else self._answer_over_link, replica)
        self._env, self._replica, self._reply = env, replica, reply
        self._egress, self._link, self._latency = egress, link, latency
        self._log, self._fetches = log, fetches

    @property
    def up(self) -> bool:
        """Whether the replica accepts connections."""
        return self._replica.up

    def _answer_over_link(self, request: Request, now: float) -> Asking:
        assert self._latency is not None
        due = now + request.left
        yield self._env.timeout(self._latency())
        now = self._env.now
        reply = yield from self._answer(request._replace(left=due - now), now)
        yield self._env.timeout(self._latency())
        return reply

    def _answer(self, request: Request, now: float) -> Asking:
        env, replica, backend = self._env, self._replica, self._reply.backend
        if not replica.up:
            return Reply(502)
        life, broken, due = replica.life, replica.broken, now + request.left
        work = replica.begin(request.demand[backend], now, due)
        yield first(env, work, broken)
        if work.triggered and work.value is PAST_DUE:
            return TOO_LATE
        made = 200
        if replica.life == life and (steps := request.calls[backend]):
            answered = env.event()
            Life(self._make(steps, request, due, answered))
            yield first(env, answered, broken)
            made = answered.value if answered.triggered else 502
        if replica.life != life:
            return Reply(502)
        replica.end(env.now)
        if self._fetches is not None:
            self._fetches.note(request.object, now, env.now)
        if is_failure(made):
            return self._reply._replace(status=504 if env.now >= due else 502)
        failed = replica.own_error is not None and replica.own_error()
        return self._reply._replace(status=500) if failed else self._reply

    def _make(self, steps: Steps, request: Request, due: float, answered: Event) -> Iterator[Event]:
        """Make calls, one step after the other; the event fires with the worst status."""
        worst = 200
        for step in steps:
            if self._env.now >= due:
                worst = 504
                break
            worst = yield from self._at_once(step, request, due)
            if is_failure(worst):
                break
        answered.succeed(worst)

    def _at_once(self, step: Sequence[PlannedCall], request: Request, due: float) -> Iterator[Event]:
        if len(step) == 1:
            return (yield from self._call(step[0], request, due))
        statuses: list[int] = []
        all_done = self._env.event()

        def one(call: PlannedCall) -> Iterator[Event]:
            statuses.append((yield from self._call(call, request, due)))
            if len(statuses) == len(step):
                all_done.succeed()

        for call in step:
            Life(one(call))
        yield all_done
        return max(statuses)

    def _call(self, call: PlannedCall, request: Request, due: float) -> Iterator[Event]:
        env = self._env
        began, asked = env.now, request.to(call)._replace(left=due - env.now)
        reply = yield from self._egress[call.backend](asked, began)
        if self._link:
            yield env.timeout(self._link)
        self._log.note(call.backend, asked.depth, began, env.now, reply.status)
        return reply.status


class Sidecars:
    """The sidecars of a scenario.

    Parameters
    ----------
    env : simpy.Environment
    scenario : Scenario
    costs : Costs
        Of each sidecar.
    upstream_side : UpstreamSide
        With all replicas.
    luck : int
        Another number draws other link times, and nothing else.

    Attributes
    ----------
    ingress : dict of str to Next
        Leads to the sidecar of each replica that has one, by the replica's name.
    inside : dict of str to StepSeries
        Requests in every sidecar, by a name such as ``sidecar of cart/0``.
    log : CallLog
        All calls.
    """

    def __init__(
        self, env: Environment, scenario: Scenario, costs: Costs, upstream_side: UpstreamSide, luck: int = 0
    ) -> None:
        self._env, self._scenario, self._costs, self._luck = env, scenario, costs, luck
        self._side = upstream_side
        self._numbers = {name: number for number, name in enumerate(scenario.backend)}
        self._settings = scenario.sidecars
        self.ingress: dict[str, Next] = {}
        self.inside: dict[str, StepSeries] = {}
        self.log = CallLog(list(scenario.backend))
        for backend in callees_first(scenario.backend):
            for number in range(scenario.backend[backend].replicas):
                if (name := f"{backend}/{number}") in self._settings:
                    replica = self._side.replicas[scenario.replicas.index(name)]
                    self.ingress[name] = Next(self._build(name, backend), replica)

    def _build(self, name: str, backend: str) -> Handle:
        """Build the sidecar of one replica, whose callees exist; returns its reverse side."""
        settings, place = self._settings[name], self._scenario.replicas.index(name)
        seed = worker_seed(sidecar_seed(self._scenario.seed, place), 0)
        inside = self.inside[f"sidecar of {name}"] = StepSeries()

        def side(service: str, beside: Mapping[str, Next], process: Proxy | None) -> Proxy:
            route = settings.route if service == INBOUND else (Route(to=service),)
            only = {"route": route, "service": {service: settings.service[service]}}
            own = self._scenario.model_copy(
                update={"proxy": settings.model_copy(update=only), "seed": seed, "sidecar": None}
            )
            upstreams = self._side._replace(latency=None, beside=beside)
            return Proxy(self._env, own, self._costs, upstreams, inside, 0, self._luck, process)

        egress: dict[int, Handle] = {}
        replica = CallingReplica(
            self._env,
            self._side.replicas[place],
            Reply(200, 0, place, self._numbers[backend]),
            egress,
            self._costs.upstream_link,
            self._side.latency,
            self.log,
            self._side.fetches,
        )
        reverse = side(INBOUND, {name: replica}, None)
        for service in settings.service:
            if service != INBOUND:
                egress[self._numbers[service]] = _from_proxy(side(service, self.ingress, reverse))
        return _from_proxy(reverse)


def _from_proxy(proxy: Proxy) -> Handle:
    """A handle by which another proxy or a replica sends requests."""
    return partial(proxy.handle, from_client=False)
