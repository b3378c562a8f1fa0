"""Where the proxy's routes lead each object, worked out once per object."""

from __future__ import annotations

from typing import NamedTuple

from policies.http_cache.directives import Header
from policies.http_cache.freshness import Answer, read_answer, read_request
from policies.reverse.routing import RequestAttributes, Routes
from policies.settings import Fault, Route, RouteCache
from scenarios.records import NO_UPSTREAM
from scenarios.schema import Scenario
from scenarios.workload import client_address

NO_BACKEND = -1


class Reply(NamedTuple):
    """What comes back.

    Attributes
    ----------
    status : int
        As in HTTP.
    cache : int
        Whose cache answered, see `scenarios.Records`; 0 for none.
    upstream : int
        Number of the replica that answered.
    backend : int
        Whose answer it is, in the order of the scenario's file.
    born : float or None
        When its age was zero, if it comes out of a store; else it is new.
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
        Who answers; empty if the proxy itself does.
    own_reply : Reply or None
        The proxy's own.
    lookup : bool
        Whether the cache is asked.
    wait : float
        Seconds for which a miss waits for another's fetch of the same object; 0 if it does not.
    answers : dict of int to Answer
        What becomes of an answer, by backend, where it may be stored at all.
    faults : tuple of Fault
        What may strike the request first.
    """

    service: str
    own_reply: Reply | None
    lookup: bool
    wait: float
    answers: dict[int, Answer]
    faults: tuple[Fault, ...] = ()


class Plans(dict[int, Plan]):
    """The plan for every object that one client asks for, by number.

    Parameters
    ----------
    scenario : Scenario
        Its routes, and what its backends say in Cache-Control.
    client : str
        The client's address.
    """

    def __init__(self, scenario: Scenario, client: str) -> None:
        super().__init__()
        self._client = client
        self._routes = Routes(scenario.proxy.route)
        plans = [_plan(route, scenario) for route in scenario.proxy.route]
        nobody = Plan("", Reply(404), False, 0.0, {})
        self._by_route: dict[int | None, Plan] = {None: nobody, **dict(enumerate(plans))}

    def __missing__(self, number: int) -> Plan:
        asked = RequestAttributes("127.0.0.1", f"/objects/{number}", "GET", self._client, lambda _name: None)
        plan = self[number] = self._by_route[self._routes.match(asked)]
        return plan


class PlansByClient(dict[str, Plans]):
    """The plans for every client, by address: the same for all, unless a route looks at the client."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self._scenario = scenario
        told_apart = any(route.when.client is not None for route in scenario.proxy.route)
        self._common = None if told_apart else Plans(scenario, client_address(0))

    def __missing__(self, client: str) -> Plans:
        plans = self[client] = self._common if self._common is not None else Plans(self._scenario, client)
        return plans


def _plan(route: Route, scenario: Scenario) -> Plan:
    if route.to is None:
        return Plan("", Reply(route.respond or 404), False, 0.0, {}, route.fault)
    answers = {}
    if route.cache is not None:
        for place, backend in enumerate(scenario.backend.values()):
            answer = _answer(backend.cache_control, route.cache)
            if answer.reason is None:
                answers[place] = answer
    wait = route.cache.wait if route.cache is not None and route.cache.coalesce else 0.0
    return Plan(route.to, None, route.cache is not None, wait, answers, route.fault)


def _answer(cache_control: str | None, cache: RouteCache) -> Answer:
    """What becomes of a backend's answer, by the rules that the real proxy applies."""
    fields = {"cache-control": cache_control}
    header: Header = fields.get
    plain, ttl, stale = read_request("GET", {}.get), cache.ttl, cache.stale
    return read_answer(200, header, plain, False, ttl, now=0.0, delay=0.0, stale=stale, targeted=True)
