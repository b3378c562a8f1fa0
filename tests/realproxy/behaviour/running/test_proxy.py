"""The proxy as an object: the same from a file and from Python, and clear about what is wrong."""

import socket

import pytest

from realproxy import (
    BadInput,
    Cache,
    Forward,
    Limits,
    Log,
    Match,
    Proxy,
    Route,
    RouteCache,
    Service,
    Upstream,
)

TOML = """
listen = "127.0.0.1:0"
[forward]
connect_ports = [443, 8443]
[[route]]
when = { host = "shop.test", header = { X-Beta = "1" } }
to = "web"
cache = { ttl = "1h" }
[[route]]
respond = 404
[service.web]
upstreams = ["127.0.0.1:9001", { address = "127.0.0.1:9002", weight = 2 }]
balance = "p2c"
[cache]
policy = "sieve"
capacity = "1MiB"
[log]
file = "-"
format = "combined"
[limits]
drain = "100ms"
"""


def test_a_file_and_python_build_equal_proxies(tmp_path):
    file = tmp_path / "proxy.toml"
    file.write_text(TOML, encoding="utf-8")
    built = Proxy(
        listen="127.0.0.1:0",
        forward=Forward(connect_ports=[443, 8443]),
        route=[
            Route(when=Match(host="shop.test", header={"X-Beta": "1"}), to="web", cache=RouteCache(ttl="1h")),
            Route(respond=404),
        ],
        service={
            "web": Service(
                upstreams=["127.0.0.1:9001", Upstream(address="127.0.0.1:9002", weight=2)], balance="p2c"
            )
        },
        cache=Cache(policy="sieve", capacity="1MiB"),
        log=Log(file="-", format="combined"),
        limits=Limits(drain="100ms"),
    )
    assert Proxy.load(file) == built
    assert Proxy.load(file) != Proxy.load(file, seed=1)
    assert Proxy.load(file) != TOML


@pytest.mark.parametrize(
    ("listen", "url"),
    [("127.0.0.1:0", "http://127.0.0.1:"), (":0", "http://127.0.0.1:"), ("0.0.0.0:0", "http://127.0.0.1:"),
     ("[::1]:0", "http://[::1]:"), ("localhost:0", "http://")],
)  # fmt: skip
def test_it_says_where_it_listens(listen, url):
    with Proxy(listen=listen, route=[Route(respond=204)]) as proxy:
        assert proxy.url == f"{url}{proxy.port}" or listen.startswith("localhost")
        with socket.create_connection(proxy.address) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "settings: expected at least one [[route]] or a [forward] table"),
        (
            {"forwardd": {}, "route": [{"respond": 204}]},
            "settings: forwardd: unknown key (did you mean 'forward'?)",
        ),
        (
            {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
            "service.web.upstreams.0.address",
        ),
        ({"route": [{"to": "web"}], "service": {"web": {"upstreams": "a:b"}}}, "expected 'host:port'"),
        ({"route": [{"to": "web"}], "service": {"web": {"upstreams": "a:0"}}}, "expected 'host:port'"),
    ],
)
def test_what_is_wrong_with_settings_is_said_in_one_line(keywords, message):
    with pytest.raises(BadInput) as problem:
        Proxy(**keywords)
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_port_in_use_is_said_in_one_line():
    with Proxy(route=[Route(respond=204)]) as first:
        second = Proxy(listen=f"127.0.0.1:{first.port}", route=[Route(respond=204)], where="proxy.toml")
        with pytest.raises(BadInput, match=f"^proxy.toml: listen: port {first.port} is in use"):
            second.start()


@pytest.mark.parametrize("listen", ["203.0.113.1:0", "nowhere.invalid:0"])
def test_an_address_that_is_not_ours_is_said_in_one_line(listen):
    with pytest.raises(BadInput, match=r"^settings: listen: "):
        Proxy(listen=listen, route=[Route(respond=204)]).start()


def test_a_log_without_a_folder_is_said_in_one_line(tmp_path):
    log = Log(file=str(tmp_path / "missing" / "access.log"))
    with pytest.raises(BadInput, match=r"^settings: log.file: cannot be written: No such file"):
        Proxy(route=[Route(respond=204)], log=log).start()


def test_settings_and_keywords_do_not_mix():
    settings = Proxy(route=[Route(respond=204)]).settings
    assert Proxy(settings).settings == settings
    with pytest.raises(TypeError):
        Proxy(settings, listen="127.0.0.1:0")


def test_stats_count_what_happened(origin, serve, wire, until):
    proxy = serve(origin(), route=[Route(when=Match(path="/no"), respond=403), Route(to="web")])
    client = wire(proxy)
    for target in ("/", "/", "/no"):
        client.ask(target)
    wire(proxy).send("garbage\r\n\r\n").answer()
    client.ask("/", "GET", "Connection: close")
    assert client.ended()
    until(lambda: sum(proxy.stats()["answers"].values()) == 5)
    stats = proxy.stats()
    assert stats["requests"] == 5
    assert stats["answers"] == {"200": 3, "400": 1, "403": 1}
    assert stats["ends"] == {"client-bad": 1, "done": 4}
    assert stats["errors"] == 0
    assert stats["accepted"] == 2
    assert stats["cpu_seconds"] > 0


def test_connecting_to_a_stats_of_a_stopped_proxy_is_an_error():
    with pytest.raises(RuntimeError, match="not running"):
        Proxy(route=[Route(respond=204)]).stats()
