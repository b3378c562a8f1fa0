"""Where an ingress meets the rest of the proxy: caches, upgrades, bodies, trusted proxies, faults."""

from __future__ import annotations

import threading
import time

import pytest

from policies.bad_input import BadInput
from realproxy import Proxy
from realproxy.control.check import check
from realproxy.proxying.route_actions import Visit

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
BAD = b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad"


@pytest.fixture
def door(origin, serve):
    """A proxy with one service, and the routes that a test gives; returns it and its origin."""

    def open_door(*routes: dict, script=lambda _: GOOD, services=None, **keywords):
        server = origin(script)
        service = {"web": {"upstreams": [server.address]}, **(services or {})}
        return serve(route=list(routes), service=service, seed=1, **keywords), server

    return open_door


def test_routes_that_ask_the_service_otherwise_share_no_stored_response(door, wire):
    """One URL of the client's is two of the service's."""
    shared = {"to": "web", "cache": {"ttl": "1h"}}
    proxy, server = door(
        {"when": {"header": {"X-Beta": "1"}}, "rewrite": {"prefix": "/beta"}, **shared},
        {"when": {"header": {"X-Env": "1"}}, "request": {"set": {"X-Env": "beta"}}, **shared},
        {"when": {"header": {"X-Same": "1"}}, **shared},
        shared,
    )
    client = wire(proxy)
    for _ in range(2):
        for field in (["X-Beta: 1"], ["X-Env: 1"], ["X-Same: 1"], []):
            assert client.ask("/x", "GET", *field).status == 200
    assert [(asked.target, asked["x-env"]) for asked in server.asked] == [
        ("/beta/x", None), ("/x", "beta"), ("/x", None),
    ]  # fmt: skip
    assert proxy.purge(url="http://shop.test/x") == 3


def test_what_answers_an_upgrade_has_the_changes_of_its_route_and_is_not_copied(door, wire, until):
    def switch(asked):
        if not asked["upgrade"]:
            return GOOD
        asked.sock.sendall(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\nVia: x\r\n\r\n")
        asked.sock.sendall(asked.reader.readline())
        return None

    proxy, server = door(
        {
            "to": {"web": 1, "503": 0}, "sticky": "cookie:arm", "mirror": {"to": "web"},
            "rewrite": {"prefix": "/v2"}, "request": {"set": {"X-In": "1"}},
            "response": {"set": {"X-Out": "1"}},
        },
        script=switch,
    )  # fmt: skip
    client = wire(proxy).send(
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi\n"
    )
    answer = client.head()
    assert answer.status == 101
    assert (answer["upgrade"], answer["x-out"]) == ("echo", "1")
    assert answer["set-cookie"].startswith("arm=")
    assert client.reader.read() == b"hi\n"
    asked = server.asked[0]
    assert (asked.target, asked["x-in"], asked["upgrade"]) == ("/v2/ws", "1", "echo")
    until(lambda: proxy.stats()["mirrors"][0]["skipped"] == 1)
    assert proxy.stats()["mirrors"][0]["sent"] == 0


def test_the_limit_of_a_body_counts_the_body_alone(door, wire):
    """Neither the frames of its chunks nor the next request, which may arrive with it."""
    proxy, server = door({"to": "web", "body": "10B"})
    client = wire(proxy)
    head = "POST / HTTP/1.1\r\nHost: a\r\n"
    chunks = "".join(f"1\r\n{digit}\r\n" for digit in range(10)) + "0\r\n\r\n"
    client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n{chunks}")
    assert client.answer().status == 200
    client.send(f"{head}Content-Length: 10\r\n\r\n0123456789GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [client.answer().status for _ in range(2)] == [200, 200]
    assert [asked.body for asked in server.asked] == [b"0123456789", b"0123456789", b""]
    client.send(f"{head}Expect: 100-continue\r\nContent-Length: 11\r\n\r\n")
    assert client.answer().status == 413


@pytest.mark.parametrize(
    ("redirect", "fields", "location"),
    [
        ({"path": "/x"}, "Host: a.test", "http://a.test:PORT/x"),
        ({"path": "/x"}, "Host: 123", "http://123:PORT/x"),
        ({"path": "/x"}, "Host: a.test:9", "http://a.test:9/x"),
        ({"path": "/x"}, "Host: a.test\r\nX-Forwarded-Proto: https", "https://a.test/x"),
        ({"path": "/x"}, "Host: a\r\nX-Forwarded-Host: b.test:8443\r\nX-Forwarded-Proto: https",
         "https://b.test:8443/x"),
        ({"path": "/x"}, "Host: a\r\nX-Forwarded-Host: b.test", "http://b.test:PORT/x"),
        ({"scheme": "https"}, "Host: [::1]:80", "https://[::1]/y"),
    ],
)  # fmt: skip
def test_a_redirect_begins_with_what_the_client_asked(door, wire, redirect, fields, location):
    proxy, _ = door({"redirect": redirect}, trusted_hops=1)
    client = wire(proxy).send(f"GET /y HTTP/1.1\r\n{fields}\r\n\r\n")
    assert client.answer()["location"] == location.replace("PORT", str(proxy.port))


def test_a_redirect_of_the_server_as_a_whole_and_of_nobody_knows_which_host(door, wire):
    proxy, _ = door({"redirect": {"scheme": "https"}})
    client = wire(proxy).send("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert client.answer()["location"] == "https://a.test/"
    assert wire(proxy).send("GET / HTTP/1.0\r\n\r\n").answer().status == 400


def test_a_copy_has_the_changes_of_its_route_and_of_the_service_it_goes_to(door, origin, wire, until):
    copy = origin(lambda _: GOOD)
    shadow = {"upstreams": [copy.address], "request": {"set": {"X-Shadow": "1"}}}
    proxy, server = door(
        {"to": "web", "mirror": {"to": "shadow"}, "rewrite": {"prefix": "/v2", "host": "b.test"},
         "request": {"remove": ["Cookie"]}},
        services={"shadow": shadow},
    )  # fmt: skip
    wire(proxy).ask("/x", "GET", "Cookie: a=b")
    until(lambda: len(copy.asked) == 1)
    seen = [
        (asked.target, asked["host"], asked["cookie"], asked["x-shadow"])
        for asked in (server.asked[0], copy.asked[0])
    ]
    assert seen == [("/v2/x", "b.test", None, None), ("/v2/x", "b.test", None, "1")]
    assert copy.asked[0]["x-forwarded-host"] == "shop.test"


def test_a_mirror_that_is_down_or_hangs_costs_no_stop(door, origin, wire, until, nobody):
    stuck = threading.Event()
    hanging = origin(lambda _: GOOD if stuck.wait(30) else None)
    proxy, _ = door(
        {"to": "web", "mirror": [{"to": "down"}, {"to": "hanging"}]},
        services={
            "down": {"upstreams": [f"127.0.0.1:{nobody}"]},
            "hanging": {"upstreams": [hanging.address]},
        },
    )
    client = wire(proxy)
    try:
        for _ in range(5):
            assert client.ask("/").status == 200
        until(lambda: proxy.stats()["mirrors"][0]["failed"] == 5 and len(hanging.asked) == 5)
        proxy.reload(proxy.settings.model_copy(update={"trace": False}))
        assert client.ask("/").status == 200
        client.close()
        begin = time.monotonic()
        proxy.stop()
        assert time.monotonic() - begin < 1.5  # less than `END_PATIENCE` of one mirror
    finally:
        stuck.set()
    until(lambda: not [one for one in threading.enumerate() if one.name == "proxy-mirror"])


@pytest.mark.parametrize("how", ["queue", "collapsed"])
def test_the_time_of_a_request_runs_while_it_waits_for_others(door, origin, wire, until, how):
    """In the queue of its service, or for another request's fetch."""
    stuck = threading.Event()
    server = origin(lambda _: GOOD if stuck.wait(20) else None)
    slow = {"upstreams": [server.address], "queue": {"in_flight": 1, "wait": "15s"}}
    cache = {"coalesce": True, "wait": "15s"} if how == "collapsed" else False
    proxy, _ = door(
        {"when": {"header": {"X-Limit": "1"}}, "timeout": "100ms", "to": "slow", "cache": cache},
        {"to": "slow", "cache": cache},
        services={"slow": slow if how == "queue" else {"upstreams": [server.address]}},
    )
    first = wire(proxy).send(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    try:
        until(lambda: len(server.asked) == 1)
        begin = time.monotonic()
        assert wire(proxy).ask("/", "GET", "X-Limit: 1").status == 504
        assert time.monotonic() - begin < 10.0
        assert len(server.asked) == 1
    finally:
        stuck.set()
    assert first.answer().status == 200
    until(lambda: not any(one["waiting"] for one in proxy.stats()["services"].values()))


def test_each_follower_of_a_shared_fetch_gets_its_own_cookie_and_origin(door, wire, until):
    opened = threading.Event()
    body = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\ngood"
    proxy, server = door(
        {
            "to": {"web": 1, "503": 0}, "sticky": "cookie:arm", "cache": {"coalesce": True, "wait": "30s"},
            "cors": {"origins": ["https://*.test"]}, "response": {"set": {"X-Out": "1"}},
        },
        script=lambda _: body if opened.wait(20) else None,
    )  # fmt: skip
    clients = [wire(proxy) for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(f"GET /x HTTP/1.1\r\nHost: a\r\nOrigin: https://{number}.test\r\n\r\n")
        until(lambda now=number: proxy.stats()["waiting"] == now and len(server.asked) == 1)
    opened.set()
    answers = [client.answer() for client in clients]
    assert [one["access-control-allow-origin"] for one in answers] == [f"https://{n}.test" for n in range(3)]
    assert len({one["set-cookie"] for one in answers}) == 3
    assert [(one["x-out"], one["vary"], one.body) for one in answers] == [("1", "Origin", b"good")] * 3
    assert len(server.asked) == 1


def test_a_request_that_is_tried_again_counts_once(origin, serve, wire):
    """Attempts for one request are no independent tosses: they would break the test's guarantee."""
    broken = origin(lambda _: BAD)
    service = {
        "api": {"upstreams": [broken.address], "retry": {"attempts": 3}},
        "new": {"upstreams": [broken.address], "retry": {"attempts": 3}},
    }
    canary = {"watch": "new", "alpha": 1e-9}
    proxy = serve(route=[{"to": {"api": 1, "new": 1}, "canary": canary}], service=service, seed=1)
    client = wire(proxy)
    for number in range(10):
        assert client.ask(f"/{number}").status == 500
    assert len(broken.asked) == 30
    words = proxy.stats()["splits"][0]["canary"]["figures"].split()
    bad, all_ = (
        [int(word) for word in words if word.isdigit()][::2],
        [int(word) for word in words if word.isdigit()][1::2],
    )
    assert (sum(bad), sum(all_)) == (10, 10)


@pytest.mark.parametrize("where", ["judge", "upstream_head", "edit_request", "edit"])
def test_a_fault_of_the_program_costs_one_connection_and_gives_all_back(
    door, wire, until, inside, monkeypatch, where
):
    told: list[type] = []
    monkeypatch.setattr(threading, "excepthook", lambda fault: told.append(fault.exc_type))
    proxy, _ = door(
        {"to": {"web": 1, "503": 0}, "canary": {"watch": "web"}, "rewrite": {"prefix": "/v2"},
         "request": {"set": {"A": "b"}}, "response": {"set": {"A": "b"}},
         "cache": {"coalesce": True, "ttl": "1h"}},
    )  # fmt: skip
    real, left = getattr(Visit, where), [ArithmeticError]

    def fails(*arguments):
        if left:
            raise left.pop()
        return real(*arguments)

    monkeypatch.setattr(Visit, where, fails)
    assert wire(proxy).send("GET /faulty HTTP/1.1\r\nHost: a\r\n\r\n").ended()
    instance = inside(proxy)

    def is_free() -> bool:
        stats = proxy.stats()
        pool, collapser = instance._now.snapshot.pool, instance._now.snapshot.collapser
        outstanding = sum(one["outstanding"] for each in stats["upstreams"].values() for one in each)
        return not (outstanding or pool._in_use or len(collapser._flights) or stats["connections"])

    until(lambda: told == [ArithmeticError] and is_free())
    assert wire(proxy).ask("/faulty").status == 200


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"to": 3}, "route.0.to: expected the name of a service, or several with weights"),
        ({"to": ["web"]}, "route.0.to: expected the name of a service, or several with weights"),
        ({"to": {"web": "1"}}, "route.0.to: web: expected a weight, a number of 0 or more, not '1'"),
        ({"to": {"web": True}}, "route.0.to: web: expected a weight"),
        ({"to": {"web": -1}}, "route.0.to: web: expected a weight of 0, or from 1e-09 to 1e+09, not -1"),
        ({"to": {"web": float("nan")}}, "route.0.to: web: expected a weight of 0"),
        ({"to": {"web": float("inf")}}, "route.0.to: web: expected a weight of 0"),
        ({"to": {"web": 1e300, "503": 1e300}}, "route.0.to: web: expected a weight of 0"),
        ({"to": {"web": 5e-324}}, "route.0.to: web: expected a weight of 0"),
        ({"to": {}}, "route.0: to: expected a weight above 0"),
        ({"to": "web", "mirror": "web"}, "route.0.mirror: expected a table such as { to = 'web' }"),
        ({"to": "web", "mirror": {"to": "web", "body": "1MiB"}}, "route.0.mirror.0.body: input should"),
        ({"to": "web", "cors": {"origins": ["a.test"]}}, "route.0.cors.origins.0: expected an origin"),
        ({"to": "web", "cors": {"expose": ["A\r\nB: c"]}}, "route.0.cors.expose.0: expected a name"),
        ({"to": "web", "when": {"prefix": ""}}, "route.0.when.prefix: expected a path such as '/api'"),
        ({"to": "web", "request": {"remove": ["via"]}}, "route.0.request: the proxy itself writes"),
    ],
)  # fmt: skip
def test_a_wrong_route_is_one_line_with_its_key(route, said):
    service = {"web": {"upstreams": ["127.0.0.1:1"]}}
    with pytest.raises(BadInput) as wrong, Proxy(route=[route], service=service):
        pass
    assert str(wrong.value).startswith(f"settings: {said}")
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("weights", [{"api": float("nan")}, {"api": 1e308}, {"api": -1}, {"api": 1e-300}])
def test_weights_by_hand_have_the_same_bounds(origin, serve, weights):
    server = origin(lambda _: GOOD)
    service = {name: {"upstreams": [server.address]} for name in ("api", "new")}
    proxy = serve(route=[{"to": {"api": 1, "new": 1}}], service=service)
    with pytest.raises(BadInput, match="api: expected a weight of 0, or from"):
        proxy.set_weights(0, weights)


def test_check_reads_the_error_pages(tmp_path):
    file = tmp_path / "proxy.toml"
    file.write_text(
        'errors = { "404" = "/nowhere/a" }\nroute = [{ respond = 404, errors = { "5xx" = "/nowhere/b" } }]'
    )
    assert [str(mistake).partition(": ")[2] for mistake in check(file).mistakes] == [
        "errors.404: '/nowhere/a' cannot be read: no such file or directory",
        "route.0.errors.5xx: '/nowhere/b' cannot be read: no such file or directory",
    ]
