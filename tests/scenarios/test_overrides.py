"""Overrides: each has an effect, or is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from policies.bad_input import BadInput
from scenarios import parse_scenario

BALANCE = "proxy.service.web.balance"


@pytest.fixture
def tables(plain) -> dict[str, Any]:
    return {**plain(), "compare": {BALANCE: ["round_robin", "p2c"], "workload.users": [4, 8]}}


def test_an_override_of_a_compared_key_leaves_its_value_only_and_this_is_said(tables) -> None:
    loaded = parse_scenario(tables, [f"{BALANCE}=random"])
    assert [variant.label for variant in loaded.variants] == ["random, 4", "random, 8"]
    assert loaded.remarks() == [f"--set fixes {BALANCE}, so the scenario does not compare its values"]
    both = parse_scenario(tables, [f"{BALANCE}=random", "workload.users=5"])
    (variant,) = both.variants
    assert (variant.label, variant.scenario.workload.users) == ("random, 5", 5)
    assert len(both.remarks()) == 2
    assert parse_scenario(tables, ["seed=5"]).remarks() == []


def test_an_override_inside_a_compared_table_changes_every_variant(plain) -> None:
    compared = [{"users": 3, "think": "1s"}, {"users": 5}]
    loaded = parse_scenario({**plain(), "compare": {"workload": compared}}, {"workload.objects": 77})
    assert [v.scenario.workload.objects for v in loaded.variants] == [77, 77]
    assert [v.scenario.workload.users for v in loaded.variants] == [3, 5]
    with pytest.raises(BadInput, match="expected exactly one of"):
        parse_scenario({**plain(), "compare": {"workload": compared}}, {"workload.rate": "9/s"})


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_table_and_what_is_below_it_both_count_in_any_order(plain, order: slice) -> None:
    given = ["workload={ users = 3 }", "workload.objects=77"][order]
    workload = parse_scenario(plain(), given).scenario.workload
    assert (workload.users, workload.objects, workload.think.mean) == (3, 77, 1.0)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("backend.wbe.replicas", "there is no backend 'wbe' (did you mean 'web'?)"),
        ("backend.wbe.slow.1", "there is no backend 'wbe' (did you mean 'web'?)"),
        ("proxy.service.wbe.balance", "there is no service 'wbe' (did you mean 'web'?)"),
        ("proxy.service.x.retry.times", "there is no service 'x'; known: web"),
    ],
)
def test_a_setting_of_a_part_that_is_not_there_is_refused(plain, key: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_scenario(plain(), {key: 1})
    assert str(caught.value) == f"--set: {key}: {problem}"
    with pytest.raises(BadInput) as caught:
        parse_scenario({**plain(), "compare": {key: [1, 2]}})
    assert str(caught.value) == f"scenario: compare: {key}: {problem}"


def test_parts_of_a_chain_are_known_by_name_too(plain) -> None:
    chain = plain()
    first = {"route": [{"to": "next"}], "service": {"next": {"upstreams": "proxy.1"}}}
    chain["proxy"] = [first, chain["proxy"]]
    assert parse_scenario(chain, {"proxy.1.service.web.balance": "p2c"}).variants
    with pytest.raises(BadInput, match=r"there is no service 'web'; known: next"):
        parse_scenario(chain, {"proxy.0.service.web.balance": "p2c"})


def test_a_backend_may_be_called_service_and_a_new_part_may_be_given_as_a_whole(plain) -> None:
    tables = plain()
    tables["backend"]["service"] = {"replicas": 2}
    assert parse_scenario(tables, {"backend.service.slow.1": 2.0}).scenario.backend["service"].slow == {
        1: 2.0
    }
    given = ["backend.api.replicas=3", "backend.api={ concurrency = 2 }"]
    assert parse_scenario(plain(), given).scenario.backend["api"].replicas == 3


def test_a_key_that_is_given_twice_is_refused(plain) -> None:
    with pytest.raises(BadInput, match=r"^--set: seed: is given twice; expected one value$"):
        parse_scenario(plain(), ["seed=3", "title=x", "seed=4"])


def test_a_mapping_keeps_its_order_so_that_a_table_may_replace_what_stands_before_it(plain) -> None:
    workload = parse_scenario(plain(), {"workload.users": 3, "workload": {"rate": "9/s"}}).scenario.workload
    assert (workload.users, workload.rate) == (None, 9.0)
