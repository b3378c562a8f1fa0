"""A fault of the program costs the one that is served: the front, the relay and the follow thread go on."""

import threading

import pytest

from realproxy import Cache, Forward, RouteCache
from realproxy.cache.fanout import Fanout
from realproxy.server.http_server import HttpServer
from realproxy.tunnel.relay import OneWay

GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"
TUNNEL = "CONNECT 127.0.0.1:{} HTTP/1.1\r\nHost: a:1\r\n\r\n"


@pytest.fixture
def told(monkeypatch):
    """What is said of faults."""
    faults = []
    monkeypatch.setattr(threading, "excepthook", lambda args: faults.append(args.exc_type))
    return faults


def test_in_the_front_thread(origin, serve, wire, monkeypatch, told):
    proxy = serve(origin())
    good, bad = wire(proxy), wire(proxy)
    assert good.ask().body == b"hello"
    advance = HttpServer.advance

    def broken(self, turn):
        if turn.head.target == b"/bad":
            raise ZeroDivisionError
        return advance(self, turn)

    monkeypatch.setattr(HttpServer, "advance", broken)
    assert bad.send(GET.format("/bad")).ended()
    assert told == [ZeroDivisionError]
    assert good.ask().body == b"hello"


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_in_the_relay_thread(origin, serve, wire, until, monkeypatch, told, when):
    server = origin()
    proxy = serve(forward=Forward(private_targets=True, connect_ports=[server.port]))
    good = wire(proxy).send(TUNNEL.format(server.port))
    assert good.head().status == 200
    deliver = OneWay._deliver

    def broken(self, data):
        if b"/bad" in bytes(data):
            raise ZeroDivisionError
        deliver(self, data)

    monkeypatch.setattr(OneWay, "_deliver", broken)
    bad, bad_news = wire(proxy), GET.format("/bad")
    if when == "at the start":
        bad.send(TUNNEL.format(server.port) + bad_news)
        assert bad.head().status == 200
    else:
        bad.send(TUNNEL.format(server.port))
        assert bad.head().status == 200
        until(lambda: proxy.stats()["tunnels"] == 2)
        bad.send(bad_news)
    assert bad.ended()
    assert told == [ZeroDivisionError]
    assert good.ask().body == b"hello"
    until(lambda: proxy.stats()["tunnels"] == proxy.stats()["connections"] == 1)


def test_in_the_follow_thread(origin, serve, wire, until, monkeypatch, told):
    gate = threading.Event()

    def script(asked):
        gate.wait(20)
        return b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"

    caching = RouteCache(coalesce=True, wait="60s")
    proxy = serve(server := origin(script), caching=caching, cache=Cache(policy="lru", capacity="1MB"))
    fill = Fanout._fill

    def broken(self, follower):
        if b"x-bad" in follower.head.fields:
            raise ZeroDivisionError
        return fill(self, follower)

    monkeypatch.setattr(Fanout, "_fill", broken)
    leader = wire(proxy).send(GET.format("/"))
    until(lambda: server.asked)
    good = wire(proxy).send(GET.format("/"))
    bad = wire(proxy).send(GET.format("/").replace("\r\n\r\n", "\r\nX-Bad: 1\r\n\r\n"))
    until(lambda: proxy.stats()["waiting"] == 2)
    gate.set()
    assert [client.answer().body for client in (leader, good)] == [b"ok", b"ok"]
    assert bad.ended()
    assert told == [ZeroDivisionError]
    assert good.ask().body == b"ok"
    until(lambda: proxy.stats()["connections"] == 2)
