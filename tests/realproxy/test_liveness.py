"""Liveness: whatever a client or an upstream does, the threads of the proxy go on with all others."""

import socket
import struct
import threading

import pytest

from realproxy import Cache, Limits, RouteCache, workers
from realproxy.workers import AT_FIRST

GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"


def whole(body: bytes, fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 X\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(body), body)


def reset(client) -> None:
    """Go away at once, unread answers or not."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_upstreams_that_stop_within_their_head_do_not_keep_threads_from_being_started(origin, serve, wire):
    gate, stuck = threading.Event(), threading.Semaphore(0)

    def script(asked):
        if asked.target == "/good":
            return whole(b"ok")
        asked.sock.sendall(b"HTTP/1.1 200 X\r\nContent-")
        stuck.release()
        gate.wait(60)
        return b"Length: 2\r\n\r\nok"

    proxy = serve(origin(script))
    clients = [wire(proxy).send(GET.format("/half")) for _ in range(AT_FIRST)]
    for _ in clients:
        assert stuck.acquire(timeout=30)
    assert wire(proxy).ask("/good").body == b"ok"
    gate.set()
    assert [client.answer().body for client in clients] == [b"ok"] * AT_FIRST


@pytest.mark.parametrize("sent", ["NONSENSE\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_who_goes_away_while_being_refused_costs_nobody_else_his_refusal(origin, serve, wire, until, sent):
    gate, shedding, opened = threading.Event(), threading.Event(), threading.Event()

    def slow(_):
        gate.wait(60)
        return whole(b"ok")

    server = origin(slow)
    proxy = serve(server, limits=Limits(threads=1, queue=1, drain="1s"))
    shedder = proxy._running._shedder
    shed = shedder._shed

    def hesitate(client, worker):
        shedding.set()
        assert opened.wait(30)
        shed(client, worker)

    shedder._shed = hesitate
    clients = [wire(proxy).send(GET.format("/"))]
    until(lambda: server.asked)
    clients.append(wire(proxy).send(GET.format("/")))
    until(lambda: proxy.stats()["queued"] == 1)
    gone = wire(proxy).send(sent)
    assert shedding.wait(30)
    reset(gone)
    opened.set()
    assert wire(proxy).ask().status == 503
    gate.set()
    assert [client.answer().status for client in clients] == [200] * 2
    until(lambda: proxy.stats()["connections"] == 2)


def test_a_client_that_catches_up_with_another_ones_fetch_is_done_once(
    origin, serve, wire, until, monkeypatch
):
    """It has not read for long, so its connection was full; then it reads all there is, in small pieces."""
    monkeypatch.setattr(workers, "BUFFER", 1_000)
    gate, size = threading.Event(), 8_000_000
    start = b"HTTP/1.1 200 X\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n" % (size + 1)

    def script(asked):
        gate.wait(60)
        asked.sock.sendall(start + bytes(size))  # but for the last byte

    caching = RouteCache(coalesce=True, wait="60s")
    proxy = serve(origin(script), caching=caching, cache=Cache(policy="lru", capacity="20MB"))
    clients = [wire(proxy).send(GET.format("/")) for _ in range(3)]
    until(lambda: proxy.stats()["waiting"] == 2)
    gate.set()
    until(lambda: len(proxy._running._following._blocked) == 3)
    until(lambda: not proxy._running._workers.places._taken)
    assert [client.answer().missing for client in clients] == [1, 1, 1]
    until(lambda: proxy.stats()["connections"] == 0)
    assert proxy.stats()["answers"] == {"200": 3}


def test_who_sends_nothing_more_is_let_go_once_it_has_its_answer(origin, serve, wire, until):
    """Whatever answers it: a worker, or (with a kept connection) the express lane."""
    proxy = serve(origin())
    for at_once in range(3):
        client = wire(proxy).send(GET.format("/"))
        client.sock.shutdown(socket.SHUT_WR)
        assert client.answer().body == b"hello"
        assert client.ended()
        until(lambda: proxy.stats()["connections"] == 0)
        assert proxy.stats()["at_once"] == at_once
