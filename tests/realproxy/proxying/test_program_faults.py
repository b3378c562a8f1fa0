"""A fault of the program in a phase: the client loses its connection, and all else is given back."""

import threading
from collections.abc import Callable

import pytest

from realproxy import Forward, RouteCache
from realproxy.cache import collapse
from realproxy.cache.store import CacheStore
from realproxy.downstream.connection import DownstreamConnection
from realproxy.proxying import pipeline
from realproxy.proxying.context import RequestContext
from realproxy.proxying.response import ResponseForwarder

COLLAPSE = RouteCache(ttl="1h", coalesce=True, wait="60s")
FAULTY = "GET /faulty HTTP/1.1\r\nHost: a\r\n\r\n"


class Fault(Exception):
    """What no part of the proxy expects."""


@pytest.fixture
def in_phase(monkeypatch, told) -> Callable[[str], None]:
    """Have a phase raise for requests for `/faulty`, once."""

    def prepare(name: str) -> None:
        left = [Fault]

        def wrapped(phase):
            def run(request: RequestContext):
                if phase.__name__ == name and request.head.target == b"/faulty" and left:
                    raise left.pop()
                return phase(request)

            return run

        monkeypatch.setattr(pipeline, "PHASES", tuple(map(wrapped, pipeline.PHASES)))

    return prepare


def warm(proxy, client) -> None:
    """Leave an idle connection to the upstream behind, so that the event loop's thread can use it."""
    number = 0
    while not proxy.stats()["at_once"]:
        number += 1
        assert client.ask(f"/warm{number}").status == 200
    client.close()


PHASES = [phase.__name__ for phase in pipeline.PHASES]


@pytest.mark.parametrize("warmed", [False, True], ids=["worker", "event loop"])
@pytest.mark.parametrize("phase", PHASES)
def test_all_that_the_request_held_is_given_back(
    origin, serve, wire, until, held, in_phase, told, phase, warmed
):
    in_phase(phase)
    server = origin()
    proxy = serve(server, caching=COLLAPSE)
    if warmed:
        warm(proxy, wire(proxy))
    assert wire(proxy).send(FAULTY).ended()
    until(lambda: told == [Fault] and not held(proxy))
    client = wire(proxy)
    assert client.ask("/faulty").body == b"hello"


@pytest.mark.parametrize("phase", ["send_request", "respond"])
@pytest.mark.parametrize("warmed", [False, True], ids=["worker", "event loop"])
def test_who_waits_for_the_fetch_is_served_all_the_same(
    origin, serve, wire, inside, until, held, monkeypatch, told, phase, warmed
):
    """The lead fails while another request waits for it."""
    follows = threading.Event()

    def wrapped(function):
        def run(request: RequestContext):
            if function.__name__ == phase and request.head.target == b"/faulty" and not follows.is_set():
                follower.send(FAULTY)
                # The follower's head is read by the event loop's thread, which may be this one.
                if threading.current_thread().name == "proxy-front":
                    clients = inside(proxy)._loop._clients.values()
                    client = next(one for one in clients if one is not request.client)
                    while not client.head_end:
                        client.read()
                    client.arrived = request.client.arrived
                    assert inside(proxy)._fast_path.takes(client)
                until(lambda: proxy.stats()["waiting"] == 1)
                follows.set()
                raise Fault
            return function(request)

        return run

    monkeypatch.setattr(pipeline, "PHASES", tuple(map(wrapped, pipeline.PHASES)))
    proxy = serve(origin(), caching=COLLAPSE)
    if warmed:
        warm(proxy, wire(proxy))
        until(lambda: proxy.stats()["connections"] == 0)
    follower = wire(proxy)
    until(lambda: proxy.stats()["connections"] == 1)
    assert wire(proxy).send(FAULTY).ended()
    assert follower.answer().body == b"hello"
    follower.close()
    until(lambda: told == [Fault] and not held(proxy))


def test_a_fault_while_the_response_is_stored_gives_the_memory_back(
    origin, serve, wire, inside, until, held, monkeypatch, told
):
    def put(*_):
        raise Fault

    monkeypatch.setattr(CacheStore, "put", put)
    proxy = serve(origin(), caching=COLLAPSE)
    assert wire(proxy).send(FAULTY).ended()
    until(lambda: told == [Fault] and not held(proxy))


def test_a_client_that_the_fanout_thread_serves_keeps_its_connection(
    origin, serve, wire, inside, until, held, monkeypatch, told
):
    """The lead's client takes nothing at once, so the fan-out thread has it when the fetch fails."""
    real = ResponseForwarder._send_head

    def send_head(forwarder: ResponseForwarder, *arguments) -> None:
        real(forwarder, *arguments)
        raise Fault

    monkeypatch.setattr(ResponseForwarder, "_send_head", send_head)
    monkeypatch.setattr(collapse, "send_now", lambda _, pieces: [memoryview(b"".join(pieces))])
    body = b"4\r\nbody\r\n0\r\n\r\n"
    proxy = serve(
        origin(lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body), caching=COLLAPSE
    )
    client = wire(proxy).send(FAULTY)
    assert client.answer().body == b"body"
    until(lambda: told == [Fault])
    assert client.ask("/faulty").body == b"body"
    client.close()
    until(lambda: not held(proxy))


def test_a_fault_when_a_tunnel_is_announced_closes_its_target(
    origin, serve, wire, until, held, monkeypatch, told
):
    def send(*_):
        raise Fault

    server = origin()
    proxy = serve(forward=Forward(private_targets=True, connect_ports=[server.port]))
    monkeypatch.setattr(DownstreamConnection, "send", send)
    client = wire(proxy)
    client.send(f"CONNECT {server.address} HTTP/1.1\r\nHost: {server.address}\r\n\r\n")
    assert client.ended()
    until(lambda: told == [Fault] and not held(proxy))
    until(lambda: len(server._threads) == 2 and not server._threads[1].is_alive())
