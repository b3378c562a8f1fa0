"""Threads: no request waits for a slow neighbour, nothing is counted twice, no thread is left."""

import gc
import random
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from realproxy import Limits, Proxy, Route, Service
from realproxy.runtime.blocking import BlockedThreads
from realproxy.server.worker_pool import AT_FIRST, TOO_FEW, WorkerPool


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def proxy_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("proxy-")}


@pytest.fixture
def former_threads() -> set[threading.Thread]:
    """Threads of earlier tests: nothing waits for the end of a name look-up."""
    return proxy_threads()


def together(count: int, work) -> list:
    """Results of `work(number)` in as many threads."""
    results: list = [None] * count

    def run(number: int) -> None:
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_clients_with_half_a_head_do_not_hurt_a_good_one(origin, serve, wire):
    proxy = serve(origin(), limits=Limits(threads=2, drain="0s"))
    for _ in range(200):
        wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
    client = wire(proxy)
    start = time.monotonic()
    for _ in range(20):
        assert client.ask().status == 200
    assert time.monotonic() - start < 8


@pytest.mark.parametrize("kind", ["long answers", "many small answers"])
def test_clients_that_do_not_read_do_not_hurt_a_good_one(origin, serve, wire, kind):
    size = 20_000_000 if kind == "long answers" else 50_000
    requests = 1 if kind == "long answers" else 500
    long = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    proxy = serve(origin(lambda asked: short if asked.target == "/good" else long), limits=Limits(drain="0s"))
    for _ in range(12):
        wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * requests)
    client = wire(proxy)
    start = time.monotonic()
    for _ in range(20):
        assert client.ask("/good").body == b"ok"
    assert time.monotonic() - start < 25


def test_two_hundred_slow_requests_are_worked_on_at_once(origin, serve, wire):
    gate, arrived = threading.Event(), threading.Semaphore(0)

    def slow(_):
        arrived.release()
        gate.wait(60)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    proxy = serve(origin(slow))
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(200)]
    start = time.monotonic()
    for _ in clients:
        assert arrived.acquire(timeout=15)
    took = time.monotonic() - start
    threads = proxy.stats()["threads"]  # none can be let go while all are stuck
    gate.set()
    assert [client.answer().body for client in clients] == [b"ok"] * 200
    assert threads >= 200
    assert took < 15


def test_beyond_the_limit_requests_wait_in_order(origin, serve, wire, until):
    gate = threading.Semaphore(0)
    order = []

    def slow(asked):
        order.append(asked.target)
        gate.acquire(timeout=20)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    proxy = serve(origin(slow), limits=Limits(threads=2, drain="1s"))
    clients = []
    for number in range(8):
        clients.append(wire(proxy).send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"))
        if number < 2:
            until(lambda: len(order) > number)  # noqa: B023
    for number, client in enumerate(clients):
        until(lambda: len(order) >= min(8, number + 2))  # noqa: B023
        gate.release()
        assert client.answer().body == b"ok" if number >= 2 else True
        assert proxy.stats()["threads"] == 2
    for _ in clients:
        gate.release()
    assert order == [f"/{number}" for number in range(8)]


def test_a_fast_upstream_is_served_by_few_threads(origin, serve, wire):
    proxy = serve(origin())

    def ask(_):
        client = wire(proxy)
        return [client.ask().status for _ in range(50)]

    assert together(16, ask) == [[200] * 50] * 16
    assert proxy.stats()["threads"] <= 16


@pytest.mark.parametrize(
    ("could_run", "waiting", "threads", "started"),
    [
        (0.0, 100, 4, 4),
        (0.4, 100, 8, 8),
        (0.4, 2, 8, 2),
        (0.8, 100, 8, 1),
        (0.8, 0, 8, 0),
        (TOO_FEW, 100, 8, 0),
        (0.0, 100, 30, 2),
        (0.0, 100, 32, 0),
        (0.0, 1, 0, 1),
    ],
)
def test_threads_are_started_as_far_as_they_help(could_run, waiting, threads, started):
    workers = WorkerPool(lambda *_: None, lambda _: None, BlockedThreads(), 32)
    assert workers.lacking(could_run, waiting, threads) == started


def test_who_has_a_place_leaves_the_queue_to_the_others():
    """A burst takes its places sooner than threads take it: it must not be refused, or crowd anybody out."""
    refused = []

    def refuse(client, _):
        refused.append(client)

    workers = WorkerPool(lambda *_: None, lambda _: None, BlockedThreads(), 3, refuse, most_queued=2)
    clients = [SimpleNamespace(suspended=None) for _ in range(7)]
    for client in clients:
        workers.submit(client)
    assert refused == clients[5:]
    assert workers.queued == 5


def test_a_wait_counts_until_there_is_something_to_read():
    waits = BlockedThreads()
    left, right = socket.socketpair()
    with left, right, waits.blocking():
        waits.events[left.fileno()] = 1
        assert waits.count() == 2
        right.send(b"x")
        assert waits.count() == 1
    del waits.events[next(iter(waits.events))]
    assert waits.count() == 0


def test_the_connection_cap_stops_accepting_but_refuses_nobody(origin, serve, wire, until):
    proxy = serve(origin(), limits=Limits(connections=3, drain="1s"))
    inside = [wire(proxy) for _ in range(3)]
    assert [client.ask().status for client in inside] == [200] * 3
    waiting = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    waiting.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        waiting.sock.recv(1)
    assert proxy.stats()["connections"] == 3
    inside[0].close()
    waiting.sock.settimeout(10)
    assert waiting.sock.recv(12) == b"HTTP/1.1 200"


def test_load_is_counted_exactly_whatever_happens(origin, serve, wire, until):
    """Failing, cut off, slow and good requests at once: in the end nothing is outstanding."""

    def script(asked):
        number = int(asked.target[1:])
        if number % 5 == 0:
            return None
        if number % 5 == 1:
            asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            return None
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    servers = [origin(script) for _ in range(3)]
    proxy = serve(*servers, balance="least_requests")

    def ask(seed):
        rng = random.Random(seed)
        for _ in range(60):
            client = wire(proxy)
            client.send(f"GET /{rng.randrange(100)} HTTP/1.1\r\nHost: a\r\n\r\n")
            if rng.random() < 0.7:
                client.answer()
            client.close()

    together(8, ask)
    until(lambda: proxy.stats()["requests"] == 8 * 60)
    until(lambda: proxy.stats()["connections"] == 0)
    assert [upstream["outstanding"] for upstream in proxy.stats()["upstreams"]["web"]] == [0] * 3


# --- stop --------------------------------------------------------------------------------------


def test_a_stop_leaves_no_thread_and_no_descriptor(origin, wire, until, former_threads):
    server = origin()
    wire(server.port).ask()
    before, interval = open_files(), sys.getswitchinterval()
    proxy = Proxy(route=[Route(to="web", cache=True)], service={"web": Service(upstreams=[server.address])})
    for _ in range(3):
        with proxy:
            assert proxy_threads() - former_threads
            with socket.create_connection(proxy.address) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert sock.recv(1000).startswith(b"HTTP/1.1 200")
                idle = socket.create_connection(proxy.address)
        idle.close()
        assert proxy_threads() <= former_threads
    assert sys.getswitchinterval() == interval
    until(lambda: open_files() <= before)  # the origin closes its ends in other threads


def test_a_stop_lets_requests_finish_and_closes_idle_connections_at_once(origin, wire):
    gate, arrived = threading.Event(), threading.Event()

    def slow(_):
        arrived.set()
        gate.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    proxy = Proxy(route=[Route(to="web")], service={"web": Service(upstreams=[origin(slow).address])})
    proxy.start()
    idle, busy = wire(proxy), wire(proxy)
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert arrived.wait(30)
    port = proxy.port
    stopping = threading.Thread(target=proxy.stop)
    stopping.start()
    assert idle.ended()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert stopping.is_alive()
    gate.set()
    assert busy.answer().body == b"ok"
    stopping.join(10)
    assert not stopping.is_alive()


def test_a_stop_breaks_off_what_takes_longer_than_the_drain(origin, wire, former_threads):
    arrived = threading.Event()

    def never(asked):
        arrived.set()
        asked.reader.read(1)

    limits = Limits(drain="100ms")
    proxy = Proxy(
        route=[Route(to="web")], service={"web": Service(upstreams=[origin(never).address])}, limits=limits
    )
    proxy.start()
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert arrived.wait(30)
    start = time.monotonic()
    proxy.stop()
    assert time.monotonic() - start < 15
    assert client.ended()
    assert proxy_threads() <= former_threads


def test_a_stop_ends_while_answers_linger_with_clients(origin, wire, former_threads):
    proxy = Proxy(route=[Route(respond=404)], limits=Limits(drain="30s", header_timeout="50ms"))
    proxy.start()
    client = wire(proxy).send("GET / HTTP/1.1\n")
    assert client.answer().status == 400
    start = time.monotonic()
    proxy.stop()
    assert time.monotonic() - start < 15
    assert proxy_threads() <= former_threads


def test_starting_and_stopping_twice_is_harmless(origin):
    proxy = Proxy(route=[Route(respond=204)])
    proxy.start()
    port = proxy.port
    proxy.start()
    assert proxy.port == port
    proxy.stop()
    proxy.stop()
    with pytest.raises(RuntimeError):
        _ = proxy.url


def test_there_are_few_threads_at_first():
    with Proxy(route=[Route(respond=204)]) as proxy:
        assert proxy.stats()["threads"] == AT_FIRST


def test_waits_can_be_counted_while_they_change():
    """Garbage collection may let another thread run between any two new objects."""
    waits = BlockedThreads()
    waits.events.update(dict.fromkeys(range(-5000, 0), 0))

    def another_thread(*_):
        waits.events[-10_000 - len(waits.events)] = 0

    before = gc.get_threshold()
    gc.callbacks.append(another_thread)
    gc.set_threshold(1)
    try:
        assert waits.count() >= 5000
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(another_thread)
