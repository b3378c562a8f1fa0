"""Several proxies in one scenario: how the file says it, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policies.bad_input import BadInput
from scenarios import Scenario, parse_scenario
from scenarios.schema import check_real

LOST = "no client reaches it; expected it in 'upstreams' of a proxy, or in workload.doors"
WEB: dict[str, Any] = {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}}
EDGE: dict[str, Any] = {"route": [{"to": "next"}], "service": {"next": {"upstreams": "proxy.1"}}}
FORWARD: dict[str, Any] = {"forward": {}}


@pytest.fixture
def in_a_row(plain: Callable[[], dict[str, Any]]) -> Callable[..., Any]:
    """`in_a_row([EDGE, WEB], {"seed": 8})`: the small scenario with these proxies."""
    return lambda proxies, changes=(): parse_scenario(
        plain() | {"proxy": proxies}, changes, where="mine.toml"
    )


def test_one_proxy_is_a_chain_of_one(scenario: Callable[..., Scenario]) -> None:
    one = scenario()
    assert (one.chain, one.proxies) == ((one.proxy,), ["proxy"])
    assert one.hop(0) == one


def test_proxies_are_named_by_their_places(in_a_row: Callable[..., Any]) -> None:
    both = in_a_row([EDGE, WEB]).scenario
    assert both.proxies == ["proxy.0", "proxy.1"]
    assert [hop.proxy for hop in map(both.hop, range(2))] == list(both.chain)
    assert both.hop(0).seed == both.seed != both.hop(1).seed
    assert not both.caching


def test_dotted_keys_reach_into_a_chain(in_a_row: Callable[..., Any]) -> None:
    loaded = in_a_row([EDGE, WEB], ["proxy.1.cache.policy=lru", "proxy.0.limits.threads=3"])
    assert [proxy.cache.policy for proxy in loaded.scenario.chain] == ["s3_fifo", "lru"]
    assert loaded.scenario.chain[0].limits.threads == 3


def test_a_chain_is_compared_by_dotted_keys(plain: Callable[[], dict[str, Any]]) -> None:
    asked = {"proxy.1.cache.policy": ["lru", "sieve"], "proxy.0.cache.capacity": ["1MiB", "2MiB"]}
    loaded = parse_scenario(plain() | {"proxy": [EDGE, WEB], "compare": asked})
    found = [(v.scenario.chain[1].cache.policy, v.scenario.chain[0].cache.capacity) for v in loaded.variants]
    assert found == [("lru", 2**20), ("lru", 2**21), ("sieve", 2**20), ("sieve", 2**21)]


def test_a_forward_proxy_in_front_leads_to_the_next(in_a_row: Callable[..., Any]) -> None:
    plain_forward = in_a_row([FORWARD, WEB]).scenario.hop(0).proxy
    (service,) = plain_forward.service.values()
    assert [upstream.address for upstream in service.upstreams] == ["proxy.1"]
    assert not plain_forward.caching
    assert in_a_row([{"forward": {"cache": True}}, WEB]).scenario.hop(0).proxy.caching


@pytest.mark.parametrize(
    ("proxies", "said"),
    [
        ([WEB, WEB], f"proxy.1: {LOST}"),
        ([EDGE], "proxy.0.service.next.upstreams: no backend 'proxy.1'; known: web"),
        ([EDGE, EDGE], "proxy.1.service.next.upstreams: leads to itself"),
        (
            [{**EDGE, "service": {"next": {"upstreams": "proxy.2"}}}, WEB],
            "proxy.0.service.next.upstreams: no backend 'proxy.2' (did you mean 'proxy.1'?)",
        ),
        ([WEB, FORWARD], "proxy.1.route: expected at least one route for the workload to take"),
        ([EDGE, FORWARD], "proxy.1.route: expected at least one route for the workload to take"),
        ([FORWARD], "proxy.0.route: expected at least one route for the workload to take"),
        ([EDGE, {**WEB, "cahce": {}}], "proxy.1.cahce: unknown key (did you mean 'cache'?)"),
        (
            [EDGE, {**WEB, "cache": {"polcy": "lru"}}],
            "proxy.1.cache.polcy: unknown key (did you mean 'policy'?)",
        ),
        ({**WEB, "cache": {"polcy": "lru"}}, "proxy.cache.polcy: unknown key (did you mean 'policy'?)"),
        ([{**EDGE, "workers": 0}, WEB], "proxy.0.workers: input should be greater than or equal to 1, not 0"),
        (5, "proxy: expected a table, not 5"),
    ],
)  # fmt: skip
def test_what_does_not_fit_gets_one_line(in_a_row: Callable[..., Any], proxies: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        in_a_row(proxies)
    assert str(caught.value) == f"mine.toml: {said}"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("proxy.2.cache.policy=lru", "expected a position from 0 to 1, not '2'"),
        ("proxy.cache.policy=lru", "expected a position from 0 to 1, not 'cache'"),
    ],
)
def test_a_key_of_no_proxy_gets_one_line(in_a_row: Callable[..., Any], key: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        in_a_row([EDGE, WEB], [key])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"link.proxy": "1ms"}, "link.proxy"),
        ({"proxy.1.cache.hit_lock": "20us"}, "proxy.1.cache.hit_lock"),
    ],
)
def test_what_only_the_model_does_is_refused_for_real_runs(
    in_a_row: Callable[..., Any], changes: dict[str, Any], key: str
) -> None:
    scenario = in_a_row([EDGE, WEB], changes).scenario
    with pytest.raises(BadInput) as caught:
        check_real(scenario, "mine.toml")
    assert str(caught.value).startswith(f"mine.toml: {key}: ")
    assert "only" in str(caught.value) and "simulator" in str(caught.value)
