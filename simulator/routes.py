"""Where the proxy's routes send the requests for each object; computed once per object."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

from policies.http_cache.directives import Header
from policies.http_cache.freshness import Answer, read_answer, read_request
from policies.reverse.routing import RequestAttributes, Routes
from policies.settings import Fault, Route, RouteCache
from scenarios.records import NO_UPSTREAM
from scenarios.schema import Scenario
from scenarios.workload import client_address
from simulator.splits import MirroredTo, SplitRoute

NO_BACKEND = -1


class Reply(NamedTuple):
    """The response to a request.

    Attributes
    ----------
    status : int
        HTTP status; 0 for none.
    cache : int
        Which cache answered, see `scenarios.Records`; 0 for none.
    upstream : int
        Number of the replica that answered.
    backend : int
        The replica's backend, in the order of the scenario's file.
    born : float or None
        When its age was zero, if it comes from a store; None if it is new.
    """

    status: int
    cache: int = 0
    upstream: int = NO_UPSTREAM
    backend: int = NO_BACKEND
    born: float | None = None


class Plan(NamedTuple):
    """What the proxy does with a request for one object.

    Attributes
    ----------
    service : str
        The service that answers; empty if the proxy does.
    own_reply : Reply or None
        The proxy's own reply.
    lookup : bool
        Whether the cache is used.
    wait : float
        Seconds for which a miss waits for another fetch of the same object; 0 if it does not.
    answers : dict of int to Answer
        For each backend whose responses may be stored, how they may be used.
    faults : tuple of Fault
        Faults that the request may get.
    split : SplitRoute or None
        Chooses the service of each request, if there are several.
    mirrors : tuple of Mirror
        Copies of requests for other services.
    timeout, try_timeout : float
        Seconds for a request, and for each of its attempts; infinity without such a limit.
    """

    service: str
    own_reply: Reply | None
    lookup: bool
    wait: float
    answers: dict[int, Answer]
    faults: tuple[Fault, ...] = ()
    split: SplitRoute | None = None
    mirrors: tuple[MirroredTo, ...] = ()
    timeout: float = math.inf
    try_timeout: float = math.inf

    @property
    def timed(self) -> bool:
        """Whether the route limits the time of requests or of their attempts."""
        return self.timeout < math.inf or self.try_timeout < math.inf


class Plans(dict[int, Plan]):
    """The plan for every object that one client requests, by number.

    Parameters
    ----------
    scenario : Scenario
    client : str
        The client's address.
    splits : dict of int to SplitRoute
        The splits of the routes, which all clients share.
    mirrors : dict of int to tuple of MirroredTo
        The mirrors of the routes.
    """

    def __init__(
        self,
        scenario: Scenario,
        client: str,
        splits: dict[int, SplitRoute],
        mirrors: dict[int, tuple[MirroredTo, ...]],
    ) -> None:
        super().__init__()
        self._client = client
        self._routes = Routes(scenario.proxy.route)
        plans = [
            _plan(route, scenario)._replace(split=splits.get(number), mirrors=mirrors.get(number, ()))
            for number, route in enumerate(scenario.proxy.route)
        ]
        nobody = Plan("", Reply(404), False, 0.0, {})
        self._by_route: dict[int | None, Plan] = {None: nobody, **dict(enumerate(plans))}

    def __missing__(self, number: int) -> Plan:
        path = f"/objects/{number}"
        request = RequestAttributes("127.0.0.1", path, "GET", self._client, lambda _name: None)
        plan = self[number] = self._by_route[self._routes.match(request)]
        return plan


class PlansByClient(dict[str, Plans]):
    """The plans for every client, by address; all clients share them unless a route depends on the client."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self._scenario = scenario
        told_apart = any(route.when.client is not None for route in scenario.proxy.route)
        self.splits = {
            number: SplitRoute(route, random.Random(f"{scenario.seed}/split {number}"))
            for number, route in enumerate(scenario.proxy.route)
            if route.arms
        }
        self.mirrors = {
            number: tuple(
                MirroredTo(mirror, random.Random(f"{scenario.seed}/mirror {number} {mirror.to}"))
                for mirror in route.mirror
            )
            for number, route in enumerate(scenario.proxy.route)
            if route.mirror
        }
        self._common = None if told_apart else self._plans(client_address(0))

    def __missing__(self, client: str) -> Plans:
        plans = self[client] = self._common if self._common is not None else self._plans(client)
        return plans

    def _plans(self, client: str) -> Plans:
        return Plans(self._scenario, client, self.splits, self.mirrors)


def _plan(route: Route, scenario: Scenario) -> Plan:
    if route.to is None:
        if route.redirect is not None:  # answered before a fault may strike, as the real proxy does
            return Plan("", Reply(route.redirect.status), False, 0.0, {})
        return Plan("", Reply(route.respond or 404), False, 0.0, {}, route.fault)
    answers = {}
    if route.cache is not None:
        for place, backend in enumerate(scenario.backend.values()):
            answer = _answer(backend.cache_control, route.cache)
            if answer.reason is None:
                answers[place] = answer
    wait = route.cache.wait if route.cache is not None and route.cache.coalesce else 0.0
    service = route.to if isinstance(route.to, str) else ""
    return Plan(
        service, None, route.cache is not None, wait, answers, route.fault,
        timeout=route.timeout or math.inf, try_timeout=route.try_timeout or math.inf,
    )  # fmt: skip


def _answer(cache_control: str | None, cache: RouteCache) -> Answer:
    """How a backend's response may be used, by the rules of the real proxy."""
    fields = {"cache-control": cache_control}
    header: Header = fields.get
    plain, ttl, stale = read_request("GET", {}.get), cache.ttl, cache.stale
    return read_answer(200, header, plain, False, ttl, now=0.0, delay=0.0, stale=stale, targeted=True)
