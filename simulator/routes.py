"""Where the proxy's routes lead each object, worked out once per object."""

from __future__ import annotations

from typing import NamedTuple

from policies.directives import Header
from policies.freshness import Answer, read_answer, read_request
from policies.routing import Asked, Routes
from policies.settings import Route, RouteCache
from scenarios.schema import Scenario


class Plan(NamedTuple):
    """What the proxy does with a request for one object.

    Attributes
    ----------
    service : str or None
        Who answers; ``None`` if the proxy itself does.
    status : int
        Of the proxy's own answer.
    lookup : bool
        Whether the cache is asked.
    answers : dict of int to Answer
        What becomes of an answer, by backend, where it may be stored at all.
    """

    service: str | None
    status: int
    lookup: bool
    answers: dict[int, Answer]


class Plans:
    """The plan for every object, by number.

    Parameters
    ----------
    scenario : Scenario
        Its routes, and what its backends say in Cache-Control.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._routes = Routes(scenario.proxy.route)
        plans = [_plan(route, scenario) for route in scenario.proxy.route]
        self._by_route: dict[int | None, Plan] = {None: Plan(None, 404, False, {}), **dict(enumerate(plans))}
        first = scenario.proxy.route[0]
        self._only = plans[0] if first.when.model_fields_set == set() else None
        self._by_object: dict[int, Plan] = {}

    def __getitem__(self, number: int) -> Plan:
        if self._only is not None:
            return self._only
        plan = self._by_object.get(number)
        if plan is None:
            plan = self._by_object[number] = self._by_route[self._routes.match(_asked(number))]
        return plan


def _asked(number: int) -> Asked:
    """The request of a test client for object `number`, as routes see it."""
    return Asked("127.0.0.1", f"/objects/{number}", "GET", "127.0.0.1", lambda _name: None)


def _plan(route: Route, scenario: Scenario) -> Plan:
    if route.to is None:
        return Plan(None, route.respond or 404, False, {})
    answers = {}
    if route.cache is not None:
        for place, backend in enumerate(scenario.backend.values()):
            answer = _answer(backend.cache_control, route.cache)
            if answer.reason is None:
                answers[place] = answer
    return Plan(route.to, 200, route.cache is not None, answers)


def _answer(cache_control: str | None, cache: RouteCache) -> Answer:
    """What becomes of a backend's answer, by the rules that the real proxy applies."""
    fields = {"cache-control": cache_control}
    header: Header = fields.get
    plain, ttl, stale = read_request("GET", {}.get), cache.ttl, cache.stale
    return read_answer(200, header, plain, False, ttl, now=0.0, delay=0.0, stale=stale, targeted=True)
