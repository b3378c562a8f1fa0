"""Call graphs of scenarios: what is refused, in one line, and what follows from a graph."""

from collections.abc import Callable
from typing import Any

import pytest

from policies.bad_input import BadInput
from scenarios import parse_scenario
from scenarios.call_graph import callees_first, with_sidecars
from scenarios.schema import Scenario

Made = Callable[[dict[str, Any]], Scenario]


@pytest.fixture
def made(plain) -> Callable[..., Scenario]:
    """A scenario with these calls; ``web`` is asked by the proxy."""

    def make(calls: dict[str, Any], **more: Any) -> Scenario:
        tables = plain()
        tables["backend"] = {name: {"calls": those} for name, those in calls.items()}
        return parse_scenario(tables | more).scenario

    return make


SHOP = {"web": [{"to": "cart"}, {"to": "catalogue"}], "cart": [], "catalogue": [{"to": "store"}], "store": []}


def test_callees_come_before_their_callers(made: Made) -> None:
    order = callees_first(made(SHOP).backend)
    assert sorted(order) == sorted(SHOP)
    for name, calls in SHOP.items():
        assert all(order.index(call["to"]) < order.index(name) for call in calls)


def test_only_backends_of_the_graph_have_sidecars(made: Made) -> None:
    scenario = made({**SHOP, "alone": []})
    assert with_sidecars(scenario.backend) == list(SHOP)
    assert list(scenario.sidecars) == [f"{name}/0" for name in SHOP]


def test_a_sidecar_leads_to_its_replica_and_to_what_that_calls(made: Made) -> None:
    services = made(SHOP).sidecars["web/0"].service
    led = {name: [upstream.address for upstream in service.upstreams] for name, service in services.items()}
    assert led == {"inbound": ["web/0"], "cart": ["cart"], "catalogue": ["catalogue"]}


def test_the_settings_of_all_sidecars_hold_for_each(made: Made) -> None:
    scenario = made(SHOP, sidecar={"service": {"store": {"balance": "p2c", "retry": {"attempts": 3}}}})
    store = scenario.sidecars["catalogue/0"].service["store"]
    assert (store.balance, store.retry.attempts) == ("p2c", 3)
    assert "store" not in scenario.sidecars["web/0"].service


@pytest.mark.parametrize(
    ("calls", "more", "key", "said"),
    [
        (
            {"web": [{"to": "crat"}], "cart": []},
            {},
            "backend.web.calls.0.to",
            "no backend 'crat' (did you mean 'cart'?)",
        ),
        (
            {"web": [{"to": "a"}], "a": [{"to": "b"}], "b": [{"to": "a"}]},
            {},
            "backend.b.calls",
            "a -> b -> a is a cycle",
        ),
        ({"web": [{"to": "web"}]}, {}, "backend.web.calls", "web -> web is a cycle"),
        (
            {"web": [{"to": "a", "times": 30}], "a": [{"to": "b", "times": 30}], "b": []},
            {},
            "backend.web.calls",
            "one request may cause 930 calls",
        ),
        (
            {"web": [{"to": "a", "times": 0}], "a": []},
            {},
            "backend.web.calls.0.times",
            "greater than or equal",
        ),
        (
            {"web": [{"to": "a", "share": 1.5}], "a": []},
            {},
            "backend.web.calls.0.share",
            "less than or equal",
        ),
        ({"web": [{"to": "a", "time": 2}], "a": []}, {}, "backend.web.calls.0.time", "did you mean 'times'?"),
        ({"web": [{"to": "inbound"}], "inbound": []}, {}, "backend.inbound", "expected another name"),
        ({"web": []}, {"sidecar": {}}, "sidecar", "no backend has 'calls'"),
        (
            SHOP,
            {"sidecar": {"service": {"stor": {}}}},
            "sidecar.service.stor",
            "no backend calls 'stor' (did you mean 'store'?)",
        ),
        (
            SHOP,
            {"sidecar": {"service": {"store": {"upstreams": "cart"}}}},
            "store.upstreams",
            "expected none",
        ),
        (SHOP, {"sidecar": {"service": {"store": {"tls": True}}}}, "sidecar.service.store.tls", "below HTTP"),
        (SHOP, {"sidecar": {"cache": {}}}, "sidecar.cache", "unknown key"),
        (SHOP, {"sidecar": {"route": [{"to": "cart"}]}}, "route.0.to", "expected 'inbound'"),
        (
            SHOP,
            {"sidecar": {"route": [{"to": "inbound", "cache": True}]}},
            "route.0.cache",
            "expected only",
        ),
        (SHOP, {"link": {"proxy": "1ms"}}, "link.proxy", "not modelled in a call graph"),
    ],
)
def test_a_mistake_is_one_clear_line(
    made: Made, calls: dict[str, Any], more: dict[str, Any], key: str, said: str
) -> None:
    with pytest.raises(BadInput) as mistake:
        made(calls, **more)
    assert key in str(mistake.value)
    assert said in str(mistake.value)
    assert "\n" not in str(mistake.value)
