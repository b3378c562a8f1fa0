"""Each translator writes what was asked for, or says in one line which key it cannot obey."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadtests.peers.base import Order
from loadtests.peers.nginx import LEAST_PAGES, nodes, pages_for
from loadtests.peers.registry import OURS, PEERS, check_obeyed, check_peers, read_real, sizes_of
from loadtests.peers.room import objects_in, room_for
from loadtests.peers.set_keys import set_keys
from policies.bad_input import BadInput
from policies.settings import parse_settings
from policies.settings.store import Cache
from scenarios import Scenario

Scenarios = Callable[..., Scenario]
Orders = Callable[[Scenario], Order]
SERVICE = "proxy.service.web"


def text(name: str, order: Order) -> str:
    return "".join(PEERS[name].files(order).values())


@pytest.mark.parametrize(
    ("name", "balance", "written"),
    [
        ("nginx", "p2c", "random two least_conn;"),
        ("nginx", "least_requests", "least_conn;"),
        ("nginx", "random", "random;"),
        ("nginx", "source_hash", "hash $remote_addr;"),
        ("nginx", "ring_hash", "hash $remote_addr consistent;"),
        ("haproxy", "p2c", "balance random(2)"),
        ("haproxy", "least_requests", "balance leastconn"),
        ("haproxy", "round_robin", "balance roundrobin"),
        ("haproxy", "ring_hash", "hash-type consistent"),
        ("varnish", "round_robin", "new way = directors.round_robin();"),
        ("varnish", "ring_hash", "way.reconfigure();"),
        ("squid", "round_robin", "originserver name=server0 round-robin weight=1"),
        ("squid", "source_hash", "sourcehash"),
    ],
)
def test_a_balancer_has_the_peers_own_word(
    name: str, balance: str, written: str, scenario: Scenarios, order: Orders
) -> None:
    asked = scenario({f"{SERVICE}.balance": balance})
    check_obeyed(PEERS[name], asked, "scenario")
    assert written in text(name, order(asked))


def test_each_upstream_has_its_weight_as_a_whole_number(scenario: Scenarios, order: Orders) -> None:
    asked = order(scenario({f"{SERVICE}.upstreams": [{"address": "web", "weight": 2.5}]}))
    assert asked.servers == [("127.0.0.1:9001", 1), ("127.0.0.1:9002", 1)]
    assert "server 127.0.0.1:9001 weight=1 max_fails=0;" in text("nginx", asked)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (
            "nginx",
            ["proxy_read_timeout 1500ms;", "proxy_connect_timeout 250ms;", "keepalive_timeout 7000ms;"],
        ),
        ("haproxy", ["timeout server 1500ms", "timeout connect 250ms", "pool-purge-delay 7000ms"]),
        ("varnish", [".first_byte_timeout = 1500ms;", ".connect_timeout = 250ms;"]),
        ("squid", ["read_timeout 2 seconds", "server_idle_pconn_timeout 7 seconds"]),
    ],
)
def test_time_limits_are_written(name: str, written: list[str], scenario: Scenarios, order: Orders) -> None:
    limits = {"answer_timeout": "1500ms", "connect_timeout": "250ms", "upstream_idle": "7s"}
    asked = scenario({f"proxy.limits.{key}": value for key, value in limits.items()})
    check_obeyed(PEERS[name], asked, "scenario")
    for line in written:
        assert line in text(name, order(asked))


def test_retries_ejection_and_health_where_a_peer_has_them(scenario: Scenarios, order: Orders) -> None:
    retrying = scenario({f"{SERVICE}.retry.attempts": 3})
    assert "proxy_next_upstream_tries 3;" in text("nginx", order(retrying))
    assert "    retries 2\n" in text("haproxy", order(retrying))
    assert "bereq.retries < 2" in text("varnish", order(retrying))
    assert "forward_max_tries 3" in text("squid", order(retrying))
    ejecting = scenario({f"{SERVICE}.eject.errors": 4, f"{SERVICE}.eject.for": "6s"})
    assert "max_fails=4 fail_timeout=6s" in text("nginx", order(ejecting))
    checking = scenario({f"{SERVICE}.health": {"every": "500ms", "rise": 2, "fall": 3}})
    assert "check inter 500ms rise 2 fall 3" in text("haproxy", order(checking))
    assert ".window = 4; .threshold = 2; .initial = 4;" in text("varnish", order(checking))


def test_a_cache_has_its_lifetime_and_its_stale_rule(scenario: Scenarios, order: Orders) -> None:
    asked = scenario(
        {
            "proxy.cache.capacity": "4MiB",
            "proxy.route": [{"to": "web", "cache": {"ttl": "60s", "stale": "0s"}}],
        },
        cached=True,
    )
    written = text("nginx", order(asked))
    assert "proxy_cache_valid 200 60s;" in written
    assert "proxy_cache_use_stale" not in written
    usual = scenario({"proxy.cache.capacity": "4MiB"}, cached=True)
    assert "proxy_cache_use_stale error" in text("nginx", order(usual))
    assert "set req.hash_ignore_busy = true;" in text("varnish", order(usual))
    assert "collapsed_forwarding off" in text("squid", order(usual))


def test_the_access_log_is_off_unless_asked_for(scenario: Scenarios, order: Orders) -> None:
    assert "access_log off;" in text("nginx", order(scenario()))
    asked = scenario({"proxy.log.file": "here.log", "proxy.log.format": "combined"})
    assert 'access_log "/run/peer/here.log" combined;' in text("nginx", order(asked))
    assert "access_log stdio:/run/peer/here.log combined" in text("squid", order(asked))


@pytest.mark.parametrize(
    ("name", "key", "value", "cached"),
    [
        ("nginx", "proxy.service.web.balance", "prequal", False),
        ("squid", "proxy.service.web.balance", "p2c", False),
        ("varnish", "proxy.service.web.balance", "least_requests", False),
        ("nginx", "proxy.service.web.hedge.after", "10ms", False),
        ("nginx", "proxy.service.web.health.every", "1s", False),
        ("haproxy", "proxy.service.web.rate", "10/s", False),
        ("haproxy", "proxy.service.web.retry.budget", 0.2, False),
        ("squid", "proxy.workers", 2, False),
        ("varnish", "proxy.workers", 2, False),
        ("nginx", "proxy.cache.policy", "sieve", True),
        ("haproxy", "proxy.cache.admission", "tinylfu", True),
        ("nginx", "proxy.cache.capacity", "20KiB", True),
        ("haproxy", "proxy.cache.capacity", "20KiB", True),
        ("varnish", "proxy.cache.capacity", "20KiB", True),
        ("squid", "proxy.cache.capacity", "20KiB", True),
        ("squid", "backend.web.cache_control", "max-age=1, stale-while-revalidate=5", True),
    ],
)
def test_what_a_peer_cannot_obey_is_one_line_with_the_key(
    name: str, key: str, value: object, cached: bool, scenario: Scenarios
) -> None:
    changes = {"proxy.cache.capacity": "4MiB"} if cached else {}
    asked = scenario({**changes, key: value}, cached=cached)
    with pytest.raises(BadInput) as mistake:
        check_obeyed(PEERS[name], asked, "mine.toml")
    assert mistake.value.key == key
    assert f"{PEERS[name].title} cannot obey it" in str(mistake.value)


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_says_how_its_policies_differ_only_where_they_are_named(
    name: str, scenario: Scenarios
) -> None:
    peer = PEERS[name]
    assert not any("hash" in note for note in peer.notes(scenario()))
    if "source_hash" in peer.balances:
        said = peer.notes(scenario({f"{SERVICE}.balance": "source_hash"}))
        assert any("another hash function" in note for note in said)


def test_the_keys_that_are_set_are_found_at_any_depth() -> None:
    settings = parse_settings(
        {
            "route": [{"to": "web", "cache": True, "when": {"path": "/a"}}],
            "service": {"web": {"upstreams": ["a:1"], "eject": {"for": "5s"}}},
            "limits": {"head": "1KiB"},
        }
    )
    assert set(set_keys(settings)) == {
        "route.0.to", "route.0.cache", "route.0.when.path", "service.web.upstreams.0.address",
        "service.web.eject.for", "limits.head",
    }  # fmt: skip


def test_a_peers_cache_holds_as_many_objects_as_ours() -> None:
    cache = Cache(capacity=100_000, overhead=500)
    assert objects_in(cache, [300, 700]) == 100
    assert room_for(cache, [300, 700], lambda size: size + 1000) == 150_000


@pytest.mark.parametrize("objects", [191, 300, 703, 5_000, 100_000])
def test_nginx_gets_a_zone_for_nearly_so_many_objects(objects: int) -> None:
    pages = pages_for(objects)
    assert pages >= LEAST_PAGES
    assert abs(nodes(pages) - objects) <= 17


def test_names_of_real_twins() -> None:
    assert read_real("proxytwin, nginx") == [OURS, "nginx"]
    for wrong in ("", "ngnix", "nginx,nginx"):
        with pytest.raises(BadInput, match="expected"):
            read_real(wrong)
    with pytest.raises(BadInput, match="nginx"):
        read_real("ngnix")


def test_a_peer_that_is_missing_or_too_old_names_its_package(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenarios
) -> None:
    monkeypatch.setattr("loadtests.peers.installed.shutil.which", lambda *_, **__: None)
    with pytest.raises(BadInput, match="nginx: is not installed; expected Debian's package nginx-light"):
        check_peers([OURS, "nginx"], [scenario()], "mine.toml")
    monkeypatch.setattr("loadtests.peers.installed.shutil.which", lambda *_, **__: "/bin/true")
    with pytest.raises(BadInput, match=r"version unknown; expected 2\.6 or newer, Debian's package haproxy"):
        check_peers(["haproxy"], [scenario()], "mine.toml")


def test_sizes_are_asked_for_only_where_something_caches(scenario: Scenarios) -> None:
    assert sizes_of(scenario())() == ()
    assert len(sizes_of(scenario(cached=True))()) == 50
