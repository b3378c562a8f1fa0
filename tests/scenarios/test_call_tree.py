"""The calls of a request: drawn once, the same for both twins, and changed only by what a change is about."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from scenarios import Request, Workload, parse_scenario
from scenarios.call_tree import Steps, count

COUNT = 2_000
CALLS = {
    "web": [
        {"to": "cart"},
        {"to": "catalogue", "times": 3, "parallel": True, "share": 0.5},
        {"to": "store", "times": 2},
    ],
    "cart": [],
    "catalogue": [{"to": "store", "share": 0.25}],
    "store": [],
}
NAMES = list(CALLS)


@pytest.fixture
def taken(plain):
    def take(changes: dict[str, Any] | None = None, user: int = 0) -> list[Request]:
        tables = plain()
        tables["backend"] = {
            name: {"calls": calls, "service_time": "exponential(30ms)"} for name, calls in CALLS.items()
        }
        return list(islice(Workload(parse_scenario(tables, changes or {}).scenario).stream(user), COUNT))

    return take


def root(request: Request) -> Steps:
    return request.calls[NAMES.index("web")]


def callees(request: Request) -> list[list[str]]:
    return [[NAMES[call.backend] for call in step] for step in root(request)]


def test_calls_of_a_list_follow_each_other_and_parallel_ones_are_one_step(taken) -> None:
    shapes = {tuple(map(tuple, callees(request))) for request in taken()}
    assert shapes == {
        (("cart",), ("store",), ("store",)),
        (("cart",), ("catalogue",) * 3, ("store",), ("store",)),
    }


def test_a_share_of_the_requests_makes_the_call(taken) -> None:
    """A z-test: wrong once in a million."""
    made = np.mean([len(root(request)) == 4 for request in taken()])
    assert abs(made - 0.5) < 4.9 * np.sqrt(0.25 / COUNT)


def test_every_call_has_its_own_work(taken) -> None:
    demands = [call.demand for request in taken() for step in root(request) for call in step]
    assert len(set(demands)) == len(demands)
    assert np.mean(demands) == pytest.approx(0.03, rel=0.05)


def test_the_same_seed_draws_the_same_calls(taken) -> None:
    assert taken() == taken()
    assert [root(request) for request in taken()] != [root(request) for request in taken({"seed": 8})]
    assert [root(request) for request in taken()] != [root(request) for request in taken(user=1)]


def test_calls_change_nothing_of_the_requests(taken) -> None:
    without = taken({"backend.web.calls": [], "backend.catalogue.calls": []})
    assert [request.calls for request in without] == [()] * COUNT
    assert [request._replace(calls=()) for request in taken()] == without


def test_a_change_of_one_call_changes_no_other(taken) -> None:
    longer = taken({"backend.cart.service_time": "exponential(60ms)"})
    for one, other in zip(taken(), longer, strict=True):
        assert root(one)[0][0].demand * 2 == pytest.approx(root(other)[0][0].demand)
        assert root(one)[1:] == root(other)[1:]


def test_what_no_proxy_asks_first_has_no_tree_of_its_own(taken) -> None:
    """So that a request does not carry plans that nobody can need."""
    assert {request.calls[NAMES.index("catalogue")] for request in taken()} == {()}


def test_a_call_is_a_request_with_its_own_work_and_its_own_calls(taken) -> None:
    request = next(each for each in taken() if len(root(each)) == 4 and count(root(each)) > 6)
    call = next(call for call in root(request)[1] if call.calls)
    asked = request.to(call)
    assert asked.demand == (0.0, 0.0, call.demand, 0.0)
    assert asked.calls == ((), (), call.calls, ())
    assert asked.object == request.object
