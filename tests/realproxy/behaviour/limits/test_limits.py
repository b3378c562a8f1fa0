"""Limits: no client holds a thread or a slot for longer than the settings allow."""

import contextlib
import json
import threading
import time

import pytest

from policies.units import parse_byte_rate
from realproxy import BadInput, Limits, Log, Proxy, Route, RouteCache, Service
from realproxy.downstream.min_rate import GRACE, MinRate


def test_beyond_the_queue_requests_are_refused_at_once(origin, serve, wire, until, tmp_path):
    gate, file = threading.Event(), tmp_path / "log"

    def slow(_):
        gate.wait(60)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    limits = Limits(threads=2, queue=3, drain="1s")
    proxy = serve(origin(slow), limits=limits, log=Log(file=str(file)))
    ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    clients = []
    for number in range(5):
        clients.append(wire(proxy).send(ask))
        until(lambda: sum(u["outstanding"] for u in proxy.stats()["upstreams"]["web"]) == min(number + 1, 2))  # noqa: B023
    until(lambda: proxy.stats()["queued"] == 3)
    start = time.monotonic()
    surplus = [wire(proxy).send(ask) for _ in range(10)]
    for client in surplus:
        answer = client.answer()
        assert (answer.status, answer["retry-after"]) == (503, "1")
        assert answer["proxy-status"].startswith("proxytwin;error=connection_limit_reached")
        assert client.ended()
    assert time.monotonic() - start < 15
    gate.set()
    assert [client.answer().status for client in clients] == [200] * 5
    until(lambda: proxy.stats()["requests"] == 15)
    stats = proxy.stats()
    assert stats["ends"]["overloaded"] == stats["answers"]["503"] == 10
    until(lambda: file.read_text().count("\n") == 15)
    assert [json.loads(line)["end"] for line in file.read_text().splitlines()].count("overloaded") == 10


def test_a_request_that_fetches_for_others_is_refused_like_any_other(origin, serve, wire, until):
    """It has not waited for a fetch, even if others may wait for its own."""
    gate = threading.Event()

    def script(asked):
        if asked.target == "/slow":
            gate.wait(20)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    proxy = serve(
        origin(script),
        caching=RouteCache(ttl="1h", coalesce=True),
        limits=Limits(threads=1, queue=1, drain="1s"),
    )
    slow = [wire(proxy).send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")]
    until(lambda: proxy.stats()["upstreams"]["web"][0]["outstanding"] == 1)
    slow.append(wire(proxy).send("GET /queued HTTP/1.1\r\nHost: a\r\n\r\n"))
    until(lambda: proxy.stats()["queued"] == 1)
    slow += [wire(proxy).send("GET /queued HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(2)]
    until(lambda: proxy.stats()["waiting"] == 2)
    assert wire(proxy).ask("/surplus").status == 503
    assert proxy.stats()["queued"] == 1
    gate.set()
    assert [client.answer().status for client in slow] == [200] * 4
    assert wire(proxy).ask("/surplus").status == 200


def test_an_exchange_must_be_over_in_time(origin, serve, wire, until):
    def drip(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            asked.sock.sendall(b"x")
            time.sleep(0.02)

    gate = threading.Event()
    never, dripping = origin(lambda _: gate.wait(60) and None), origin(drip)
    limits = Limits(request_timeout="300ms", drain="0s")
    start = time.monotonic()
    late = wire(serve(never, limits=limits)).ask()
    assert (late.status, 0.3 <= time.monotonic() - start < 15) == (504, True)
    begun = wire(serve(dripping, limits=Limits(request_timeout="2s", drain="0s"))).ask()
    assert begun.status == 200 and 0 < len(begun.body) < 1000
    proxy = serve(never, limits=limits)
    client = wire(proxy).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
    assert client.answer().status in (408, 504)
    gate.set()


def test_what_is_in_time_is_left_alone_and_its_connection_kept(origin, serve, wire):
    server = origin()
    proxy = serve(server, limits=Limits(request_timeout="20s"))
    client = wire(proxy)
    assert [client.ask().body for _ in range(3)] == [b"hello"] * 3
    assert server.connections == 1


def test_a_request_that_is_late_is_not_tried_elsewhere(origin, serve, wire):
    gate = threading.Event()
    servers = [origin(lambda _: gate.wait(60) and None) for _ in range(2)]
    service = Service(upstreams=[server.address for server in servers], retry={"attempts": 2})
    limits = Limits(request_timeout="1s", drain="0s")
    proxy = serve(route=[Route(to="web")], service={"web": service}, limits=limits)
    assert wire(proxy).ask().status == 504
    assert sum(len(server.asked) for server in servers) == 1
    gate.set()


def test_a_reader_below_the_rate_is_cut_off(origin, serve, wire, until, monkeypatch):
    monkeypatch.setattr("realproxy.downstream.min_rate.GRACE", 0.3)
    body = bytes(30_000_000)
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    proxy = serve(server, limits=Limits(min_rate="100MB/s", drain="0s"))
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.head().status == 200
    until(lambda: proxy.stats()["ends"].get("client-slow") == 1)


def test_a_sender_below_the_rate_is_answered_408(origin, serve, wire, monkeypatch):
    monkeypatch.setattr("realproxy.downstream.min_rate.GRACE", 0.3)
    proxy = serve(origin(), limits=Limits(min_rate="1MB/s", drain="0s"))
    client = wire(proxy).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
    client.sock.settimeout(0.02)
    got = b""
    for _ in range(100):
        try:
            client.send("x")
            got = client.sock.recv(100)
            break
        except TimeoutError:
            continue
    assert got.startswith(b"HTTP/1.1 408 ")


def test_who_is_fast_enough_gets_all_of_it(origin, serve, wire):
    body = bytes(range(256)) * 20_000
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    client = wire(serve(server, limits=Limits(min_rate="1KiB/s")))
    assert client.ask().body == body
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert client.answer().body == body
    assert server.asked[1].body == body


@pytest.fixture
def gathering(origin, serve, wire, until):
    """Two clients with one collapsed fetch whose response is about to come: the fetcher and the follower."""

    def start(body: bytes, rate: str):
        opened = threading.Event()

        def script(_):
            assert opened.wait(60)
            return (
                b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nContent-Length: %d\r\n\r\n" % len(body)
                + body
            )

        server = origin(script)
        gather = RouteCache(coalesce=True, wait="60s")
        proxy = serve(server, caching=gather, limits=Limits(min_rate=rate, drain="0s"))
        clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]
        until(lambda: server.asked)
        clients.append(wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        until(lambda: proxy.stats()["waiting"] == 1)
        opened.set()
        return proxy, clients

    return start


def test_who_follows_another_fetch_fast_enough_gets_all_of_it(gathering):
    body = bytes(range(256)) * 40_000
    _, clients = gathering(body, "1KiB/s")
    assert [client.answer().body == body for client in clients] == [True, True]


def test_who_hardly_reads_what_another_fetches_is_cut_off_although_it_never_stops(
    gathering, until, monkeypatch
):
    monkeypatch.setattr("realproxy.downstream.min_rate.GRACE", 0.3)
    proxy, clients = gathering(bytes(30_000_000), "100MB/s")

    def cut_off() -> bool:
        with contextlib.suppress(TimeoutError, ConnectionError):
            for client in clients:
                client.sock.settimeout(0.01)
                client.sock.recv(1000)
        return proxy.stats()["ends"].get("client-slow") == 2

    until(cut_off)


def test_a_pace_counts_only_the_time_that_it_is_waited_for():
    pace = MinRate(rate=100, idle_timeout=60)
    assert pace.time_left == GRACE
    pace.moved(1000)
    assert pace.time_left == GRACE + 10
    pace.waited(GRACE + 9)
    assert pace.time_left == 1
    pace.restart()
    assert pace.time_left == GRACE
    pace.moved(10**9)
    assert pace.time_left == 60  # the limit for an idle client


@pytest.mark.parametrize(("text", "rate"), [("1KiB/s", 1024), ("90B/m", 1.5), ("2MB/s", 2e6)])
def test_rates_of_bytes_are_written_with_units(text, rate):
    assert parse_byte_rate(text) == rate
    assert Limits(min_rate=text).min_rate == rate


@pytest.mark.parametrize("text", ["1KiB", "fast", "1/s/s", 7])
def test_what_is_no_rate_is_said_so(text):
    with pytest.raises(BadInput, match=r"limits\.min_rate"):
        Proxy(route=[Route(respond=204)], limits={"min_rate": text})
