"""One door to many services: what a route changes, whom it lets in, and what it answers itself."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest

from policies.bad_input import BadInput
from realproxy import Proxy

SECRET = base64.b64encode(b"ann:pass").decode()


@pytest.fixture
def door(origin, serve):
    """A proxy with one service, and the routes that a test gives; returns it and its origin."""

    def open_door(*routes: dict, **keywords):
        server = origin()
        return serve(route=list(routes), service={"web": {"upstreams": [server.address]}}, **keywords), server

    return open_door


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v2", 200),
        ("/v2/", 200),
        ("/v2/x?y", 200),
        ("/v2example", 404),
        ("/%762/x", 200),
        ("/a/../v2/x", 200),
        ("/", 404),
    ],
)
def test_a_prefix_matches_whole_elements(door, wire, target, status):
    proxy, _ = door({"when": {"prefix": "/v2"}, "to": "web"})
    assert wire(proxy).ask(target).status == status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/?beta=1", 200),
        ("/?a&beta=1&beta=2", 200),
        ("/?beta=2&beta=1", 404),
        ("/?BETA=1", 404),
        ("/?x=beta=1", 404),
    ],
)
def test_a_query_is_matched_by_its_first_value(door, wire, target, status):
    proxy, _ = door({"when": {"query": {"beta": "1"}}, "to": "web"})
    assert wire(proxy).ask(target).status == status


def test_the_upstream_gets_the_rewritten_path_and_host(door, wire):
    proxy, server = door(
        {"when": {"prefix": "/api"}, "rewrite": {"strip": "/api", "host": "api.internal"}, "to": "web"}
    )
    wire(proxy).ask("/api/x?y=1", host="shop.test:8080")
    asked = server.asked[0]
    assert (asked.target, asked["host"]) == ("/x?y=1", "api.internal")
    assert asked["x-forwarded-host"] == "shop.test:8080"


def test_the_cache_knows_a_response_by_the_url_that_was_asked(door, wire):
    proxy, server = door({"rewrite": {"prefix": "/v2"}, "cache": {"ttl": "1h"}, "to": "web"})
    client = wire(proxy)
    for _ in range(3):
        assert client.ask("/x").status == 200
    assert [asked.target for asked in server.asked] == ["/v2/x"]
    assert proxy.purge(url="http://shop.test/x") == 1


def test_fields_are_changed_in_both_directions_and_in_hits(door, wire):
    proxy, server = door(
        {
            "request": {"set": {"X-Env": "beta"}, "add": {"X-List": "b"}, "remove": ["X-Debug"]},
            "response": {"set": {"Server": "none"}, "add": {"X-Via": "door"}, "remove": ["X-Powered-By"]},
            "cache": {"ttl": "1h"},
            "to": "web",
        }
    )
    server.script = lambda _: (
        b"HTTP/1.1 200 OK\r\nX-Powered-By: x\r\nServer: y\r\nContent-Length: 2\r\n\r\nhi"
    )
    client = wire(proxy)
    for _ in range(2):  # a miss, a hit
        answer = client.ask("/", "GET", "X-Debug: 1", "X-List: a", "X-Env: prod")
        assert (answer["server"], answer["x-via"], answer["x-powered-by"]) == ("none", "door", None)
        assert answer.body == b"hi"
    (asked,) = server.asked
    assert (asked.all("x-env"), asked.all("x-list"), asked["x-debug"]) == (["beta"], ["a,b"], None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_answered_without_asking_anybody(door, wire, status):
    proxy, server = door({"redirect": {"host": "new.test", "scheme": "https", "status": status}})
    client = wire(proxy)
    answer = client.ask("/a/b?c=1")
    assert (answer.status, answer["location"]) == (status, "https://new.test/a/b?c=1")
    assert client.ask("/again").status == status  # on the same connection
    assert server.asked == []


def test_a_redirect_names_the_port_of_this_proxy_if_the_request_names_none(door, wire):
    proxy, _ = door({"redirect": {"path": "/x"}})
    assert wire(proxy).ask("/a")["location"] == f"http://shop.test:{proxy.port}/x"
    assert wire(proxy).ask("/a", host="shop.test:81")["location"] == "http://shop.test:81/x"


def test_a_preflight_is_answered_here_and_the_answers_say_who_may_read_them(door, wire):
    cors = {"origins": ["https://*.shop.test"], "methods": ["PUT"], "headers": ["X-A"], "credentials": True}
    proxy, server = door({"cors": cors, "to": "web"})
    server.script = lambda _: (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\nhi"
    )
    client = wire(proxy)
    asks = ("Origin: https://a.shop.test", "Access-Control-Request-Method: PUT")
    answer = client.ask("/", "OPTIONS", *asks)
    assert (answer.status, answer["access-control-allow-origin"]) == (204, "https://a.shop.test")
    assert (answer["access-control-allow-methods"], answer["access-control-allow-headers"]) == ("PUT", "X-A")
    assert server.asked == []
    answer = client.ask("/", "OPTIONS", "Origin: https://evil.test", asks[1])
    assert (answer.status, answer["access-control-allow-origin"]) == (204, None)
    answer = client.ask("/", "GET", asks[0])
    assert answer.all("access-control-allow-origin") == ["https://a.shop.test"]
    assert answer["access-control-allow-credentials"] == "true"
    assert client.ask("/", "GET", "Origin: https://evil.test")["access-control-allow-origin"] is None
    assert client.ask("/", "OPTIONS").status == 200  # no browser asks so
    assert len(server.asked) == 3


def test_only_some_networks_may_come_in(door, wire):
    proxy, _ = door(
        {"when": {"path": "/in"}, "allow": ["127.0.0.0/8"], "to": "web"}, {"allow": ["::/0"], "to": "web"}
    )
    client = wire(proxy)
    assert client.ask("/in").status == 200
    assert client.ask("/out").status == 403


def test_users_and_passwords(door, wire):
    proxy, server = door({"auth": {"ann": "pass"}, "to": "web"})
    client = wire(proxy)
    answer = client.ask("/")
    assert (answer.status, answer["www-authenticate"]) == (401, 'Basic realm="proxytwin", charset="UTF-8"')
    assert client.ask("/", "GET", f"Authorization: Basic {SECRET}").status == 200
    assert client.ask("/", "GET", "Authorization: Basic YW5uOm5v").status == 401
    assert len(server.asked) == 1


def test_a_body_beyond_the_limit_is_refused_before_or_while_it_is_read(door, wire):
    proxy, server = door({"body": "10B", "to": "web"})
    client = wire(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789")
    assert client.answer().status == 200
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n0123456789a")
    assert client.answer().status == 413
    client = wire(proxy)
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n"
        + b"x" * 20
        + b"\r\n0\r\n\r\n"
    )
    assert client.answer().status == 413
    assert [asked.body for asked in server.asked if asked.whole] == [b"0123456789"]


def test_a_time_limit_for_each_attempt_and_for_all_of_them(origin, serve, wire):
    import threading

    stuck = threading.Event()
    server = origin(lambda _: b"" if stuck.wait(20) else None)
    service = {"web": {"upstreams": [server.address], "retry": {"attempts": 3}}}
    routes = [
        {"when": {"path": "/try"}, "try_timeout": "50ms", "to": "web"},
        {"when": {"path": "/all"}, "timeout": "200ms", "try_timeout": "150ms", "to": "web"},
    ]
    proxy = serve(route=routes, service=service)
    try:
        begin = time.monotonic()
        assert wire(proxy).ask("/try").status == 504
        assert time.monotonic() - begin < 5.0
        assert len(server.asked) == 3
        assert wire(proxy).ask("/all").status == 504
        assert len(server.asked) == 5  # no time is left for a third one
    finally:
        stuck.set()


def test_error_pages_replace_the_proxys_own_errors(door, wire, tmp_path: Path):
    lost, sorry = tmp_path / "lost.html", tmp_path / "sorry.txt"
    lost.write_text("<h1>lost</h1>", encoding="utf-8")
    sorry.write_text("sorry", encoding="utf-8")
    proxy, _ = door(
        {"when": {"path": "/gone"}, "respond": 404, "errors": {"4xx": str(sorry)}},
        errors={"404": str(lost)},
    )
    client = wire(proxy)
    answer = client.ask("/unknown")
    assert (answer.status, answer.body, answer["content-type"]) == (
        404,
        b"<h1>lost</h1>",
        "text/html; charset=utf-8",
    )
    answer = client.ask("/gone")
    assert (answer.status, answer.body, answer["content-type"]) == (
        404,
        b"sorry",
        "text/plain; charset=utf-8",
    )


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"to": "web", "errors": {"404": "/nowhere/x"}}, "route.0.errors.404: '/nowhere/x' cannot be read"),
        ({"to": {"web": 1, "other": 1}}, "route.0.to: unknown service 'other'"),
        ({"to": {"web": 0}}, "route.0: to: expected a weight above 0"),
        ({"to": {"web": -1}}, "route.0.to"),
        ({"to": "web", "sticky": "client"}, "route.0: sticky: expected several services"),
        ({"to": {"web": 1, "503": 1}, "sticky": "cookie:a b"}, "route.0.sticky: expected 'client', 'path'"),
        ({"to": {"web": 1, "503": 1}, "canary": {"watch": "new"}}, "route.0: canary.watch: 'new' is none of"),
        ({"to": "web", "mirror": {"to": "copy"}}, "route.0.mirror.to: unknown service 'copy'"),
        ({"respond": 200, "rewrite": {"path": "/"}}, "route.0: rewrite: expected 'to'"),
        ({"redirect": {"status": 301}}, "route.0.redirect: a redirect to the same URL"),
        ({"to": "web", "request": {"set": {"a b": "c"}}}, "route.0.request.set"),
        ({"to": "503"}, "route.0: to: '503' is a status"),
    ],
)
def test_a_wrong_route_is_one_line_with_its_key(origin, route, said):
    with (
        pytest.raises(BadInput) as wrong,
        Proxy(route=[route], service={"web": {"upstreams": ["127.0.0.1:1"]}}),
    ):
        pass
    assert f"settings: {said}" in str(wrong.value)
    assert "\n" not in str(wrong.value)
