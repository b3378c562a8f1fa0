"""Whose cache answered, from what the Cache-Status of a chain says."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.users.cache_status import CacheStatusReader
from scenarios import parse_scenario

HERE = "127.0.0.1"


def answering(*proxies: dict[str, Any]) -> CacheStatusReader:
    tables = {"title": "t", "workload": {"users": 1}, "backend": {"web": {}}, "proxy": list(proxies)}
    return CacheStatusReader(parse_scenario(tables).scenario)


def leading_to(upstream: str, **route: Any) -> dict[str, Any]:
    return {"route": [{"to": "next", **route}], "service": {"next": {"upstreams": upstream}}}


EDGE, SHIELD = leading_to("proxy.1", cache=True), leading_to("web", cache=True)


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("", 0),
        ("proxytwin; fwd=uri-miss; stored, proxytwin; fwd=uri-miss; stored", 0),
        ("proxytwin; hit, proxytwin; fwd=uri-miss; stored", 2),
        ("proxytwin; fwd=uri-miss; stored, proxytwin; hit", 1),
        ("proxytwin; hit, proxytwin; hit", 1),
        ("proxytwin; hit", 1),
        ("proxytwin; fwd=uri-miss; collapsed, proxytwin; fwd=uri-miss; stored", 2),
        ("other; hit, proxytwin; fwd=uri-miss, proxytwin; fwd=uri-miss", 0),
    ],
)
def test_the_last_entry_is_that_of_the_cache_next_to_the_client(said: str, place: int) -> None:
    assert answering(EDGE, SHIELD).place(7, HERE, said) == place


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("proxy.2; hit, proxy.0; fwd=uri-miss; stored", 3),
        ("proxy.1; hit, proxy.0; fwd=uri-miss; stored", 2),
        ("proxy.2; hit, proxy.0; hit", 1),
        ("proxy.2; fwd=uri-miss; stored, proxy.0; fwd=uri-miss; collapsed", 1),
        ("proxy.2; fwd=uri-miss; stored, proxy.0; fwd=stale; stored", 0),
        ("other; hit, proxy.0; fwd=uri-miss", 0),
        ("proxy.7; hit", 0),
    ],
)
def test_caches_side_by_side_are_known_by_their_names(said: str, place: int) -> None:
    edge = {"route": EDGE["route"], "service": {"next": {"upstreams": ["proxy.1", "proxy.2"]}}}
    assert answering(edge, SHIELD, SHIELD).place(7, HERE, said) == place


def test_a_proxy_that_does_not_look_an_object_up_has_no_entry() -> None:
    for first in ({"forward": {}}, leading_to("proxy.1")):
        assert answering(first, SHIELD).place(7, HERE, "proxytwin; hit") == 2
    assert answering({"forward": {"cache": True}}, SHIELD).place(7, HERE, "proxytwin; hit") == 1


def test_routes_say_which_objects_a_proxy_looks_up() -> None:
    some = {
        "route": [{"when": {"path": "/objects/7"}, "to": "next"}, {"to": "next", "cache": True}],
        "service": {"next": {"upstreams": "proxy.1"}},
    }
    mixed = answering(some, SHIELD)
    assert [mixed.place(number, HERE, "proxytwin; hit") for number in (7, 8)] == [2, 1]


def test_routes_that_look_at_the_client_see_the_proxy_behind_the_first() -> None:
    ours = {"client": "127.0.0.2/32"}
    first = {
        "route": [{"when": ours, "to": "next", "cache": True}, {"to": "next"}],
        "service": EDGE["service"],
    }
    told_apart = answering(first, SHIELD)
    assert [told_apart.place(7, f"127.0.0.{n}", "proxytwin; hit") for n in (1, 2)] == [2, 1]
