"""Deadlines that travel: what is left goes on to the upstream, and who is too late is refused at once."""

import threading
import time

import pytest

from realproxy import Forward, Limits, Route, Service

FIELD = "Proxytwin-Timeout-Ms"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def routed(serve):
    """A proxy with one route to one origin."""

    def start(*origins, limits=None, service=None, **route):
        upstreams = [getattr(origin, "address", origin) for origin in origins]
        return serve(
            route=[Route(to="web", **route)],
            service={"web": Service(upstreams=upstreams, **(service or {}))},
            limits=limits or Limits(drain="1s"),
        )

    return start


def told(asked) -> float | None:
    """Milliseconds that an upstream was told."""
    found = [value for name, value in asked.fields if name.lower() == FIELD.lower()]
    assert len(found) < 2
    return float(found[0]) if found else None


def test_what_is_left_goes_on_and_is_less_at_each_hop(origin, routed, wire):
    server = origin()
    behind = routed(server)
    front = routed(f"127.0.0.1:{behind.port}")
    for _ in range(2):  # on a new connection by a worker, then on a kept one
        assert wire(front).ask("/", "GET", f"{FIELD}: 20000").status == 200
        assert 15000 < told(server.asked[-1]) < 20000
    passed_once = origin()
    assert wire(routed(passed_once)).ask("/", "GET", f"{FIELD}: 20000").status == 200
    assert told(passed_once.asked[-1]) < 20000


@pytest.mark.parametrize(
    ("route", "field", "least", "most"),
    [
        ({}, None, None, None),
        ({"timeout": "10s"}, None, 9000, 10000),
        ({"timeout": "10s"}, "20000", 9000, 10000),
        ({"timeout": "10s"}, "9000", 8000, 9000),
        ({"timeout": "10s"}, "soon", 9000, 10000),
        ({}, "soon", None, None),
        ({}, "1e3", None, None),
    ],
)
def test_the_smaller_of_the_clients_and_the_routes_holds(origin, routed, wire, route, field, least, most):
    server = origin()
    client = wire(routed(server, **route))
    for _ in range(2):
        assert client.ask("/", "GET", *([] if field is None else [f"{FIELD}: {field}"])).status == 200
        if least is None:
            assert told(server.asked[-1]) is None
        else:
            assert least < told(server.asked[-1]) < most


@pytest.mark.parametrize("value", ["0", "-5", "0.0", "-0.001"])
def test_a_deadline_in_the_past_is_refused_at_once(origin, serve, wire, value):
    server = origin()
    proxy = serve(
        route=[Route(when={"path": "/own"}, respond=200), Route(to="web")],
        service={"web": Service(upstreams=[server.address])},
        forward=Forward(private_targets=True),
    )
    client = wire(proxy)
    for target in ("/", "/own", f"http://{server.address}/"):
        answer = client.ask(target, "GET", f"{FIELD}: {value}", host=server.address)
        assert (answer.status, b"time for the request is over" in answer.body) == (504, True)
    assert server.asked == []
    assert client.ask().status == 200


def test_a_service_need_not_tell(origin, routed, wire):
    server = origin()
    client = wire(routed(server, service={"deadline": False}, timeout="10s"))
    assert client.ask("/", "GET", f"{FIELD}: 5000").status == 200
    assert told(server.asked[-1]) is None


def test_the_forward_side_passes_on_what_is_left_only_where_the_client_has_said_it(origin, serve, wire):
    server = origin()
    client = wire(
        serve(forward=Forward(private_targets=True), limits=Limits(request_timeout="9s", drain="1s"))
    )
    url = f"http://{server.address}/"
    assert client.ask(url, "GET", f"{FIELD}: 5000", host=server.address).status == 200
    assert 4000 < told(server.asked[-1]) < 5000
    assert client.ask(url, host=server.address).status == 200
    assert told(server.asked[-1]) is None


@pytest.mark.parametrize("kept", [False, True])
def test_a_slow_upstream_is_given_up_when_the_deadline_is_over(origin, routed, wire, gated, kept):
    server = origin(lambda _: OK)
    proxy = routed(server)
    client = wire(proxy)
    if kept:
        assert client.ask().status == 200
    server.script = gated
    start = time.monotonic()
    assert client.ask("/", "GET", f"{FIELD}: 60").status == 504
    took = time.monotonic() - start
    gated.go.release()
    assert 0.06 <= took < 5.0
    assert proxy.stats()["upstreams"]["web"][0]["failures"] == 1


def test_a_try_timeout_ends_one_attempt_of_a_kept_connection(origin, routed, wire, gated):
    slow = {"now": False}

    def first(asked):
        return gated(asked) if slow["now"] else OK

    servers = [origin(first), origin(first)]
    proxy = routed(*servers, try_timeout="60ms", timeout="20s", service={"retry": {"attempts": 2}})
    client = wire(proxy)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    slow["now"] = True
    asked = sum(len(server.asked) for server in servers)
    start = time.monotonic()
    assert client.ask().status == 504
    assert 0.12 <= time.monotonic() - start < 10.0
    assert sum(len(server.asked) for server in servers) == asked + 2
    gated.go.release(2)


def test_nobody_waits_in_a_queue_beyond_the_deadline(origin, routed, wire, until, gated):
    server = origin(gated)
    proxy = routed(server, service={"limit": 1, "queue": {"wait": "30s"}})
    first = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gated.inside.acquire(timeout=30)
    start = time.monotonic()
    assert wire(proxy).ask("/", "GET", f"{FIELD}: 50").status == 504
    assert 0.05 <= time.monotonic() - start < 20.0
    until(lambda: proxy.stats()["services"]["web"]["waiting"] == 0)
    gated.go.release()
    assert first.answer().status == 200
    assert len(server.asked) == 1


def test_a_retry_that_would_begin_too_late_is_not_made(origin, routed, wire):
    server = origin(lambda _: b"HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy")
    proxy = routed(server, service={"retry": {"attempts": 2, "backoff": "30s"}})
    start = time.monotonic()
    answer = wire(proxy).ask("/", "GET", f"{FIELD}: 20000")
    assert (answer.status, answer.body, len(server.asked)) == (503, b"busy", 1)
    assert time.monotonic() - start < 15.0


def test_a_stop_wakes_a_request_that_waits_for_its_retry(origin, serve, wire, until):
    server = origin(lambda _: b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
    proxy = serve(
        route=[Route(to="web")],
        service={"web": Service(upstreams=[server.address], retry={"attempts": 2, "backoff": "60s"})},
        limits=Limits(drain="50ms"),
    )
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: server.asked and proxy.stats()["upstreams"]["web"][0]["failures"] == 1)
    before = {thread.name for thread in threading.enumerate()}
    start = time.monotonic()
    proxy.stop()
    assert time.monotonic() - start < 20.0
    left = [thread for thread in threading.enumerate() if thread.name in before and "worker" in thread.name]
    assert left == [], "the worker has ended"
    client.close()
