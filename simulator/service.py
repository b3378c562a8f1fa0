"""A service: its balancer and its upstreams, and how one of them is asked."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from simpy import Environment, Event

from policies.balancing import Dispatch, dispatch_rng
from policies.resilience import is_failure
from scenarios.fetches import FetchLog
from scenarios.latency import Latency
from scenarios.schema import Scenario
from scenarios.workload import Request, client_address
from simulator.attempt import TOO_LATE, Judge
from simulator.backend import PAST_DUE, Replica
from simulator.processes import Handle, first
from simulator.resilience import Resilience
from simulator.routes import NO_BACKEND, Reply


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
    beside : mapping of str to Next
        What stands for a replica with a sidecar, by the replica's name.
    fetches : FetchLog or None
        Records the work of the replicas.
    deadlines : bool
        Whether any proxy of the chain gives requests a deadline.
    watched : bool
        Whether the time limit of responses is modelled. Without it, `AnswerTooLate` is raised if a
        response exceeds the limit.
    """

    replicas: list[Replica]
    latency: Latency | None = None
    following: Mapping[str, Handle] = MappingProxyType({})
    beside: Mapping[str, Next] = MappingProxyType({})
    fetches: FetchLog | None = None
    deadlines: bool = False
    watched: bool = True


class AnswerTooLate(Exception):
    """A response exceeded `limits.answer_timeout` in a run that does not model this limit."""


class Next:
    """A proxy behind this one in the role of a replica; it is always up.

    Parameters
    ----------
    ask : Handle
        Sends a request to it.
    behind : Replica, optional
        Its only replica, which answers its health checks.
    """

    up = True

    def __init__(self, ask: Handle, behind: Replica | None = None) -> None:
        self.ask, self._behind = ask, behind

    @property
    def healthy(self) -> bool:
        """Whether a health check succeeds."""
        return self._behind is None or self._behind.up


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
    fetches : FetchLog or None
        Records the work of the replicas.
    is_local : bool
        Whether all upstreams are replicas without latency; the proxy then asks them directly.
    resilience : Resilience or None
        ``None`` if nothing can fail and no option is on; the proxy then asks an upstream directly, as
        in most scenarios.
    limit : float
        Seconds; a direct request that takes as long raises `AnswerTooLate`.
    tells_deadlines : bool
        Whether the upstreams are told how much time is left.
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
        self.fetches = upstream_side.fetches
        settings = scenario.proxy.service[name]
        backends = list(scenario.backend)
        names = scenario.replicas
        self.replicas: list[Replica | Next] = []
        self.replies: list[Reply] = []
        self.backends: list[int] = []
        weight: list[float] = []
        for upstream in settings.upstreams:
            for copy in range(_copies(scenario, upstream.address)):
                server = f"{upstream.address}/{copy}"
                if server in upstream_side.beside:
                    self._add(upstream_side.beside[server], Reply(200), weight, upstream.weight)
                    continue
                number, backend = names.index(server), backends.index(upstream.address)
                replica = upstream_side.replicas[number]
                self._add(replica, Reply(200, 0, number, backend), weight, upstream.weight)
            if upstream.address in upstream_side.beside:
                self._add(upstream_side.beside[upstream.address], Reply(200), weight, upstream.weight)
            elif upstream.address not in scenario.backend:
                following = Next(upstream_side.following[upstream.address])
                self._add(following, Reply(200), weight, upstream.weight)
        self.is_local = upstream_side.latency is None and NO_BACKEND not in self.backends
        rng = dispatch_rng(scenario.seed, name)
        self.dispatch = Dispatch(
            settings.balance, weight, rng, slow_start=settings.slow_start, snapshot=settings.load_snapshot
        )
        self.tells_deadlines = settings.deadline
        keys = ("health", "eject", "retry", "hedge", "breaker", "queue", "limit", "rate")
        timed = upstream_side.deadlines or any(route.try_timeout for route in scenario.proxy.route)
        self.key_of = _path_of if settings.hash_on == "path" else None
        failing = any(scenario.backend[backends[place]].fail for place in self.backends if place >= 0)
        timeout = scenario.proxy.limits.answer_timeout
        in_time = timeout >= scenario.duration and not upstream_side.beside  # calls may wait for each other
        self.limit = math.inf if in_time else timeout
        late = upstream_side.watched and self.limit < math.inf
        self.resilience: Resilience | None = None
        if failing or late or timed or any(getattr(settings, key) is not None for key in keys):
            self.resilience = Resilience(env, name, scenario, self, upstream_link)

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

    def reach(self, index: int, request: Request, due: float = math.inf) -> Generator[Event, None, Reply]:
        """The response of a remote upstream, which is told `due`; 502 if it is down or goes down."""
        env, replica, latency = self._env, self.replicas[index], self._latency
        if isinstance(replica, Next):
            passed_on = request._replace(client=client_address(0), left=due - env.now)
            return (yield from replica.ask(passed_on, env.now))
        left = due - env.now
        if latency is not None:
            yield env.timeout(latency())
        reply = Reply(502)
        if replica.up:
            began, life, broken = env.now, replica.life, replica.broken
            work = replica.begin(request.demand[self.backends[index]], began, began + left)
            yield first(env, work, broken)
            if work.triggered and work.value is PAST_DUE:
                reply = TOO_LATE
            elif replica.life == life:
                replica.end(env.now)
                if self.fetches is not None:
                    self.fetches.note(request.object, began, env.now)
                reply = self.reply_of(index)
        if latency is not None:
            yield env.timeout(latency())
        return reply


def _copies(scenario: Scenario, address: str) -> int:
    """Number of replicas of an upstream; 0 if it is no backend."""
    return scenario.backend[address].replicas if address in scenario.backend else 0


def _path_of(request: Request) -> str:
    return f"/objects/{request.object}"
