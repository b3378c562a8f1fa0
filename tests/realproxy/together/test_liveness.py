"""Liveness: whatever a client or an upstream does, the threads of the proxy go on with all others."""

import contextlib
import errno
import os
import queue
import socket
import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from realproxy import Cache, Limits, Proxy, Route, RouteCache, Service
from realproxy.downstream.connection import READ, DownstreamConnection
from realproxy.errors import Termination, UpstreamError
from realproxy.messages.record import RequestRecord
from realproxy.net import dial as dialling
from realproxy.net.resolver import Resolver
from realproxy.proxying import worker
from realproxy.runtime.blocking import BlockedThreads
from realproxy.server import connection_loop as front
from realproxy.server.worker_pool import AT_FIRST
from realproxy.tunnel.relay import TunnelRelay
from realproxy.upstream.endpoint import Endpoint
from realproxy.upstream.pool import ConnectionPool

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
def test_who_goes_away_while_being_refused_costs_nobody_else_his_refusal(
    origin, serve, wire, until, sent, inside
):
    gate, shedding, opened = threading.Event(), threading.Event(), threading.Event()

    def slow(_):
        gate.wait(60)
        return whole(b"ok")

    server = origin(slow)
    proxy = serve(server, limits=Limits(threads=1, queue=1, drain="1s"))
    workers = inside(proxy)._workers
    shed = workers._refuse

    def hesitate(client, worker):
        shedding.set()
        assert opened.wait(30)
        shed(client, worker)

    workers._refuse = hesitate
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


def test_a_request_that_is_refused_after_a_reload_does_not_keep_the_former_settings(
    origin, serve, wire, until, inside
):
    gate, shedding, opened = threading.Event(), threading.Event(), threading.Event()

    def slow(_):
        gate.wait(60)
        return whole(b"ok")

    proxy = serve(server := origin(slow), limits=Limits(threads=1, queue=1, drain="1s"))
    workers = inside(proxy)._workers
    shed = workers._refuse

    def hesitate(client, worker):
        shedding.set()
        assert opened.wait(30)
        shed(client, worker)

    workers._refuse = hesitate
    clients = [wire(proxy).send(GET.format("/"))]
    until(lambda: server.asked)
    clients.append(wire(proxy).send(GET.format("/")))
    until(lambda: proxy.stats()["queued"] == 1)
    surplus = wire(proxy).send(GET.format("/"))
    assert shedding.wait(30)
    proxy.reload(proxy.settings.model_copy(update={"limits": Limits(drain="1s")}))
    opened.set()
    gate.set()
    assert surplus.answer().status == 503
    assert [client.answer().status for client in clients] == [200] * 2
    until(lambda: not any(thread.is_alive() for thread in inside(proxy)._retiring))


def test_a_client_that_catches_up_with_another_ones_fetch_is_done_once(
    origin, serve, wire, until, monkeypatch, inside
):
    """It has not read for long, so its connection was full; then it reads all there is, in small pieces."""
    monkeypatch.setattr(worker, "BUFFER", 1_000)
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
    until(lambda: len(inside(proxy)._fanout._blocked) == 3)
    until(lambda: not inside(proxy)._workers.slots._taken)
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


def test_who_waits_for_a_slow_crowd_does_not_keep_threads_from_being_started(
    origin, serve, wire, until, inside
):
    """A body too long to be stored is fetched as fast as the fastest client reads; here none reads."""
    gate, body = threading.Event(), bytes(20_000_000)
    fields = b"Cache-Control: max-age=60\r\n"
    long = b"HTTP/1.1 200 X\r\n%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"

    def script(asked):
        if asked.target == "/good":
            return whole(b"ok")
        gate.wait(60)
        return long % (fields, len(body), body) if asked.target == "/long" else whole(b"ok", fields)

    proxy = serve(
        server := origin(script),
        caching=RouteCache(coalesce=True, wait="60s"),
        cache=Cache(policy="lru", capacity="100KiB"),
        limits=Limits(drain="0s"),
    )
    clients = [wire(proxy).send(GET.format("/long")) for _ in range(2)]
    until(lambda: proxy.stats()["waiting"] == 1)
    gate.set()
    until(lambda: len(inside(proxy)._fanout._blocked) == 2)
    gate.clear()
    clients += [wire(proxy).send(GET.format(f"/{number}")) for number in range(1, AT_FIRST)]
    until(lambda: len(server.asked) == AT_FIRST)
    assert wire(proxy).ask("/good").body == b"ok"
    gate.set()


def test_threads_are_started_for_those_who_have_waited_for_another_ones_fetch(
    origin, serve, wire, until, monkeypatch
):
    """All threads are busy, and nothing happens that would have the front look after them."""
    monkeypatch.setattr(front, "TICK", 1_000.0)
    gate, all_here = threading.Event(), threading.Barrier(AT_FIRST + 2)

    def script(asked):
        if asked is server.asked[0]:
            gate.wait(60)
        else:
            all_here.wait(60)
        return whole(b"ok", b"Cache-Control: no-store\r\n")

    limits = Limits(header_timeout="4000s", idle_timeout="4000s", answer_timeout="4000s", drain="1s")
    proxy = serve(server := origin(script), caching=RouteCache(coalesce=True, wait="1000s"), limits=limits)
    clients = [wire(proxy).send(GET.format("/")) for _ in range(AT_FIRST + 3)]
    until(lambda: proxy.stats()["waiting"] == AT_FIRST + 2)
    gate.set()
    assert [client.answer().body for client in clients] == [b"ok"] * (AT_FIRST + 3)
    assert len(server.asked) == AT_FIRST + 3


def test_an_upstream_whose_descriptor_was_the_listeners_is_heard_while_the_proxy_stops(
    origin, wire, until, monkeypatch, inside
):
    monkeypatch.setattr(front, "LAST_CALL", 30.0)
    gates = {name: threading.Event() for name in ("/a", "/b")}

    def script(asked):
        if asked.target not in gates:
            return whole(b"later")
        gates[asked.target].wait(60)
        return whole(b"first", b"Connection: close\r\n")

    with contextlib.ExitStack() as stack:
        server = origin(script)
        service = Service(upstreams=[server.address])
        proxy = Proxy(route=[Route(to="web")], service={"web": service}, limits=Limits(drain="120s"))
        proxy.start()
        stack.callback(proxy.stop)
        one = wire(proxy).send(GET.format("/a") + GET.format("/c"))
        other = wire(proxy).send(GET.format("/b") + GET.format("/d"))
        until(lambda: len(server.asked) == 2)
        entrance = inside(proxy)._loop.entrances[0]
        number = entrance._listener.fileno()
        while stack.enter_context(Path("/dev/null").open()).fileno() < number:
            pass  # no smaller number is free
        stopper = threading.Thread(target=proxy.stop)
        stopper.start()
        stack.callback(stopper.join)
        until(lambda: entrance._listener.fileno() < 0)
        gates["/a"].set()
        assert [one.answer().body, one.answer().body] == [b"first", b"later"]
        gates["/b"].set()
        assert [other.answer().body, other.answer().body] == [b"first", b"later"]


def test_a_worker_that_is_late_writes_into_nobody_elses_descriptor(origin, serve, inside):
    proxy = serve(origin())
    loop = inside(proxy)._fanout._loop
    number = loop._wake
    proxy.stop()
    other = os.eventfd(0, os.EFD_NONBLOCK)
    os.dup2(other, number)
    try:
        assert not loop.call(lambda: None)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(other)
    finally:
        os.close(other)
        os.close(number)


def test_a_connection_that_is_made_while_all_are_broken_off_is_not_used():
    dialling, opened = threading.Event(), threading.Event()
    ours, theirs = socket.socketpair()

    def dial(resolver, timeout):
        dialling.set()
        assert opened.wait(30)
        return ours

    pool, told = ConnectionPool(Limits(), BlockedThreads()), []

    def take() -> None:
        try:
            pool.acquire(Endpoint([("elsewhere", 1)], dialer=dial))
        except UpstreamError as trouble:
            told.append(trouble.end)

    thread = threading.Thread(target=take)
    thread.start()
    assert dialling.wait(30)
    pool.abort()
    opened.set()
    thread.join(30)
    with theirs:
        assert told == [Termination.STOPPED]
        assert theirs.recv(1) == b"", "it is closed"


def test_a_stop_waits_only_so_long_for_a_refresh(origin, serve, wire, until, later, monkeypatch):
    hanging, gate = threading.Event(), threading.Event()

    def look_up(_: str) -> list[str]:
        if server.asked:
            hanging.set()
            gate.wait(60)
        return ["127.0.0.1"]

    monkeypatch.setattr("realproxy.net.resolver.look_up", look_up)
    monkeypatch.setattr("realproxy.runtime.background_jobs.END_PATIENCE", 0.1)
    fields = b"Cache-Control: max-age=10, stale-while-revalidate=100\r\nConnection: close\r\n"
    server = origin(lambda _: whole(b"ok", fields))
    proxy = serve(
        route=[Route(to="web", cache=RouteCache())],
        service={"web": Service(upstreams=[f"shop.test:{server.port}"])},
        limits=Limits(connect_timeout="1000s", drain="1s"),
    )
    assert wire(proxy).ask().body == b"ok"
    until(lambda: proxy.stats()["cache_objects"] == 1)
    later(20)
    assert wire(proxy).ask()["Cache-Status"].endswith("behind")
    assert hanging.wait(30)
    stopper = threading.Thread(target=proxy.stop)
    stopper.start()
    stopper.join(30)
    assert not stopper.is_alive()
    gate.set()


def test_a_request_behind_a_header_of_the_proxy_protocol_is_read_to_its_end(origin, serve, wire, until):
    """The first read ends within the second request; the express lane answers the first one."""
    proxy = serve(origin(), proxy_protocol={"from": ["127.0.0.1"]}, limits=Limits(head="16KiB"))
    header = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"
    assert wire(proxy).send(header).ask().body == b"hello"
    until(lambda: proxy.stats()["upstream_idle"] == 1)
    requests = header + GET.format("/") + "GET /long HTTP/1.1\r\nHost: a\r\nX: "
    client = wire(proxy).send(requests + "y" * (READ - len(requests)) + "y\r\n\r\n")
    assert [client.answer().body, client.answer().body] == [b"hello", b"hello"]


def test_without_a_descriptor_for_the_upstream_the_client_is_told(
    origin, serve, wire, until, monkeypatch, inside
):
    server = origin()
    proxy = serve(server)

    def full(*arguments):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    client = wire(proxy)
    with monkeypatch.context() as patch:
        patch.setattr(dialling, "socket", SimpleNamespace(**{**vars(socket), "socket": full}))
        answer = client.ask()
    assert (answer.status, answer.body) == (503, b"503 Service Unavailable: no socket: too many open files\n")
    assert client.ask().body == b"hello"
    assert proxy.stats()["upstreams"]["web"][0]["failures"] == 0
    until(lambda: not inside(proxy)._now.server.under_way)


def test_a_name_is_looked_up_beside_one_that_hangs_however_the_threads_take_turns(monkeypatch):
    """A thread has taken a name, and is held up before anybody can know that."""
    taken, go_on, found = threading.Event(), threading.Event(), threading.Event()

    class Hesitant(queue.Queue):
        def get(self, *arguments, **keywords):
            item = super().get(*arguments, **keywords)
            if item == "hangs.test":
                taken.set()
                go_on.wait(60)
            return item

    monkeypatch.setattr("realproxy.net.resolver.look_up", lambda _: ["192.0.2.1"])
    resolver = Resolver(1.0)
    resolver._queue = Hesitant()
    resolver.resolve_async("hangs.test", lambda _: None)
    assert taken.wait(30)
    resolver.resolve_async("other.test", lambda _: found.set())
    assert found.wait(30)
    go_on.set()
    resolver.stop()


def test_a_stop_tells_those_who_wait_for_a_name(monkeypatch):
    asked, gate, told = threading.Event(), threading.Event(), []

    def look_up(_: str) -> list[str]:
        asked.set()
        gate.wait(60)
        return []

    def wait() -> None:
        try:
            resolver.resolve(("hangs.test", 80))
        except UpstreamError as trouble:
            told.append(trouble.end)

    monkeypatch.setattr("realproxy.net.resolver.look_up", look_up)
    resolver = Resolver(1_000.0)
    waiter = threading.Thread(target=wait)
    waiter.start()
    assert asked.wait(30)
    resolver.stop()
    waiter.join(30)
    assert told == [Termination.STOPPED]
    gate.set()


def test_a_tunnel_that_comes_too_late_is_closed():
    """A worker has made it while the proxy was stopping."""
    released, logged = [], []
    relay = TunnelRelay(60.0, released.append, logged.append)
    relay.loop.stop()
    (ours, client_end), (target, target_end) = socket.socketpair(), socket.socketpair()
    client = DownstreamConnection(ours, "192.0.2.1", 1_000, BlockedThreads())
    relay.add(client, target, RequestRecord("192.0.2.1", 0.0, 0.0))
    with ours, client_end, target_end:
        assert released == [client]
        assert [exchange.end for exchange in logged] == [Termination.STOPPED]
        assert target_end.recv(1) == b"", "it is closed"
        assert not relay.tunnels


def test_a_reload_at_the_moment_of_a_full_house_does_not_shut_it_for_good(origin, serve, wire, inside):
    proxy = serve(origin(), limits=Limits(connections=1, drain="0s"))
    entrance = inside(proxy)._loop.entrances[0]
    paused = threading.Event()

    class Reloading:
        """Has the limits adopted while the front turns away from the listener."""

        def __init__(self, epoll) -> None:
            self.register, self.unregister, self._modify = epoll.register, epoll.unregister, epoll.modify

        def modify(self, fd: int, events: int) -> None:
            if not (events or paused.is_set()):
                thread = threading.Thread(target=entrance.adopt, args=(entrance._limits,))
                thread.start()
                thread.join(0.2)
                paused.set()
            self._modify(fd, events)

    entrance._epoll = Reloading(entrance._epoll)
    first = wire(proxy)
    assert first.ask().body == b"hello"
    second = wire(proxy).send(GET.format("/"))
    assert paused.wait(30)
    first.close()
    assert second.answer().body == b"hello"
