"""The fast path: a request that need not wait needs no worker; a worker finishes any other."""

import json
import threading
import time

import pytest

from realproxy import Cache, Forward, Limits, Log, Proxy, Route, RouteCache, Service
from realproxy.control import instance as running

KEPT = RouteCache(ttl="1h")
BIG = 8 * 2**20
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def warm(client) -> None:
    """Leave a kept connection to the upstream behind."""
    assert client.ask("/warm").status == 200


def ready(proxy, client) -> None:
    """The same, with no worker at work any more."""
    while not proxy.stats()["at_once"]:
        warm(client)


def handed_on(proxy) -> int:
    """Requests that a worker has finished."""
    stats = proxy.stats()
    return sum(stats["answers"].values()) - stats["at_once"]


def test_small_answers_and_hits_need_no_worker(origin, serve, wire, until):
    server = origin()
    passed, kept = wire(serve(server)), wire(proxy := serve(server, caching=KEPT))
    for client in (passed, kept):
        assert [client.ask().body for _ in range(20)] == [b"hello"] * 20
    until(lambda: proxy.stats()["at_once"] == 19)
    assert handed_on(proxy) == 1  # the miss
    assert proxy.stats()["hits"] == 19


def test_a_request_upstream_without_a_kept_connection_is_a_workers(origin, serve, wire, until):
    proxy = serve(origin())
    client = wire(proxy)
    assert [client.ask().body for _ in range(5)] == [b"hello"] * 5
    until(lambda: proxy.stats()["at_once"] == 4)
    assert handed_on(proxy) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_forward_side_needs_none_for_a_name_that_it_knows(origin, serve, wire, until, host):
    server = origin()
    proxy = serve(forward=Forward(private_targets=True, cache=False))
    client = wire(proxy)
    for number in range(1, 200):
        assert client.ask(f"http://{host}:{server.port}/").body == b"hello"
        if number % 10 == 0 and proxy.stats()["at_once"] > 2:
            break
    until(lambda: proxy.stats()["at_once"] > 2)


def test_who_waits_for_a_slow_upstream_holds_no_thread(origin, serve, wire, until):
    gate, many = threading.Event(), 40

    def script(asked):
        if asked.target == "/slow":
            gate.wait(20)
        elif asked.target == "/together":
            together.wait(20)
        return OK

    together = threading.Barrier(many)
    proxy = serve(origin(script))
    clients = [wire(proxy) for _ in range(many)]
    for client in clients:
        client.send("GET /together HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [client.answer().body for client in clients] == [b"ok"] * many
    until(lambda: proxy.stats()["upstream_idle"] == many)
    until(lambda: handed_on(proxy) == many)
    for client in clients:
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["awaiting"] == many)
    assert proxy.stats()["queued"] == 0
    gate.set()
    assert [client.answer().body for client in clients] == [b"ok"] * many
    until(lambda: proxy.stats()["at_once"] == many)
    assert handed_on(proxy) == many


def test_no_more_are_awaited_than_may_be_worked_on_at_once(origin, serve, wire, until):
    gate = threading.Event()

    def script(asked):
        if asked.target != "/warm":
            gate.wait(20)
        return OK

    proxy = serve(origin(script), limits=Limits(threads=1, queue=2, drain="1s"))
    ready(proxy, wire(proxy))
    clients = []
    for awaiting, outstanding, queued in ((1, 1, 0), (1, 1, 1), (1, 1, 2)):
        clients.append(wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        until(
            lambda now=(awaiting, outstanding, queued): (
                (
                    proxy.stats()["awaiting"],
                    proxy.stats()["upstreams"]["web"][0]["outstanding"],
                    proxy.stats()["queued"],
                )
                == now
            )
        )
    assert wire(proxy).ask().status == 503
    gate.set()
    assert [client.answer().status for client in clients] == [200] * 3
    for client in clients:  # a client that had to queue may send the next request like all others
        assert client.ask().status == 200


@pytest.mark.parametrize("caching", [None, KEPT], ids=["passed on", "stored"])
def test_who_does_not_read_holds_up_nobody(origin, serve, wire, caching):
    body = bytes(range(256)) * (BIG // 256)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG

    def script(asked):
        return head + body if asked.target == "/big" else OK

    proxy = serve(origin(script), caching=caching)
    slow, quick = wire(proxy), wire(proxy)
    if caching is not None:
        assert slow.ask("/big").body == body
    slow.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /small HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [quick.ask("/small").body for _ in range(50)] == [b"ok"] * 50
    assert [slow.answer().body, slow.answer().body] == [body, b"ok"]


def stored_big(origin, serve, wire, **limits):
    """A proxy that has a response in store which no client takes at once."""
    body = bytes(range(256)) * (BIG // 256)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG
    proxy = serve(origin(lambda _: head + body), caching=KEPT, limits=Limits(**limits))
    assert wire(proxy).ask("/big", host="a").body == body
    return proxy, body


def test_a_slow_client_of_a_cached_hit_needs_no_worker(origin, serve, wire, until):
    proxy, body = stored_big(origin, serve, wire, threads=1, drain="5s")
    before = handed_on(proxy)
    slow = [wire(proxy).send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 2) for _ in range(3)]
    until(lambda: proxy.stats()["hits"] == 3)
    assert wire(proxy).ask("/big", "HEAD", host="a").status == 200, "three clients that do not read"
    assert [client.answer().body for client in slow] == [body] * 3
    until(lambda: sum(proxy.stats()["answers"].values()) >= 5)
    assert handed_on(proxy) <= before + 3, "only the second request of each pipeline may"
    assert [client.answer().body for client in slow] == [body] * 3


def test_a_client_that_stops_reading_a_cached_hit_is_cut_off(origin, serve, wire, until):
    proxy, _ = stored_big(origin, serve, wire, idle_timeout="300ms", drain="5s")
    wire(proxy).send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["ends"].get("client-slow") == 1)
    until(lambda: proxy.stats()["connections"] == 0)
    assert proxy.stats()["queued"] == 0


@pytest.mark.parametrize("reads", [True, False])
def test_a_stop_waits_for_a_client_that_reads_a_cached_hit(origin, serve, wire, until, inside, reads):
    proxy, body = stored_big(origin, serve, wire, drain="20s" if reads else "200ms")
    server = inside(proxy)._now.server
    slow = wire(proxy).send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["hits"] == 1)
    stopping = threading.Thread(target=proxy.stop)
    stopping.start()
    if reads:
        assert slow.answer().body == body
    stopping.join(30)
    assert not stopping.is_alive()
    assert not server.under_way


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECES = {
    "head in pieces": [b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n\r", b"\nbody"],
    "body in pieces": [LENGTH, b"bo", b"dy"],
    "chunks": [CHUNKS + b"2\r\nbo\r", b"\n2\r\ndy\r\n0", b"\r\n\r\n"],
    "chunks at once": [CHUNKS + b"4\r\nbody\r\n0\r\n\r\n"],
    "up to the end": [b"HTTP/1.1 200 OK\r\n\r\nbo", b"dy", None],
    "an interim answer before": [b"HTTP/1.1 103 Early Hints\r\n\r\n", LENGTH, b"body"],
    "an error": [b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nbody"],
}  # fmt: skip


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
def test_answers_are_the_same_however_they_come(origin, serve, wire, until, pieces, version):
    taken = threading.Semaphore(0)

    def script(asked):
        if asked.target == "/warm":
            return OK
        for piece in pieces:
            if piece is None:
                return None
            asked.sock.sendall(piece)
            taken.acquire(timeout=0.02)  # most often this lets the piece arrive alone
        return b""

    proxy = serve(origin(script), log=None)
    warm(wire(proxy))
    client = wire(proxy).send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n")
    answer = client.answer()
    if answer.status == 103:
        answer = client.answer()
    assert answer.status == (500 if "500" in repr(pieces[0]) else 200)
    assert answer.body == b"body"
    if version == "1.1" and pieces[-1] is not None:
        assert client.ask("/warm").body == b"ok"


def test_an_upstream_that_says_nothing_is_given_up_in_time(later, origin, serve, wire, until, inside):
    gate = threading.Event()
    server = origin(lambda asked: OK if asked.target == "/warm" else gate.wait(60) and None)
    proxy = serve(server, limits=Limits(answer_timeout="30s", drain="0s"))
    client = wire(proxy)
    ready(proxy, client)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["awaiting"] == 1)
    later(10.0)
    front, then = inside(proxy)._loop, time.monotonic()
    until(lambda: front._next_sweep > then)
    assert proxy.stats()["awaiting"] == 1, "its time is not over"
    later(20.1)
    assert client.answer().status == 504
    until(lambda: proxy.stats()["upstreams"]["web"][0]["outstanding"] == 0)
    gate.set()


def test_another_upstream_is_asked_when_the_first_says_nothing(later, origin, serve, wire, until):
    gate = threading.Event()
    silent = origin(lambda asked: OK if asked.target == "/warm" else gate.wait(60) and None)
    good = origin()
    service = Service(upstreams=[silent.address, good.address], retry={"attempts": 2})
    limits = Limits(answer_timeout="20s", drain="0s")
    proxy = serve(route=[Route(to="web")], service={"web": service}, limits=limits)
    client = wire(proxy)
    for _ in range(2):
        warm(client)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["awaiting"] == 1 and len(silent.asked) == 2)
    later(20.1)
    assert client.answer().body == b"hello"
    assert (len(silent.asked), len(good.asked)) == (2, 2)
    assert proxy.stats()["upstreams"]["web"][0]["failures"] == 1
    gate.set()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_kept_connection_that_ends_at_the_request_is_replaced_where_that_is_safe(
    origin, serve, wire, method
):
    """RFC 9112, 9.3.1: only an idempotent request may be sent again."""

    def script(asked):
        return OK if asked.target == "/warm" or len(server.asked) > 2 else None

    server = origin(script)
    client = wire(serve(server))
    warm(client)
    assert client.ask("/", method).status == (200 if method == "GET" else 502)
    assert len(server.asked) == (3 if method == "GET" else 2)


def test_a_client_that_leaves_while_its_upstream_thinks_frees_it(origin, serve, wire, until):
    gate = threading.Event()
    proxy = serve(origin(lambda asked: OK if asked.target == "/warm" else gate.wait(20) and OK))
    ready(proxy, wire(proxy))
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["awaiting"] == 1)
    client.close()
    gate.set()
    until(lambda: proxy.stats()["upstreams"]["web"][0]["outstanding"] == 0)
    until(lambda: proxy.stats()["connections"] == 1)


def test_a_stop_lets_awaited_answers_come(origin, wire, until):
    gate = threading.Event()
    server = origin(lambda asked: OK if asked.target == "/warm" else gate.wait(20) and OK)
    proxy = Proxy(
        route=[Route(to="web")],
        service={"web": Service(upstreams=[server.address])},
        limits=Limits(drain="20s"),
    )
    with proxy:
        client = wire(proxy)
        ready(proxy, client)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: proxy.stats()["awaiting"] == 1)
        stopping = threading.Thread(target=proxy.stop)
        stopping.start()
        gate.set()
        assert client.answer().body == b"ok"
        stopping.join(20)
    assert not stopping.is_alive()


def test_a_stop_that_is_over_breaks_them_off(origin, serve, wire, until, monkeypatch):
    monkeypatch.setattr(running, "ABORT_PATIENCE", 60.0)
    gate = threading.Event()
    server = origin(lambda asked: OK if asked.target == "/warm" else gate.wait(20) and None)
    proxy = serve(server, limits=Limits(drain="100ms"))
    client = wire(proxy)
    ready(proxy, client)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["awaiting"] == 1)
    start = time.monotonic()
    proxy.stop()
    assert time.monotonic() - start < 20, "nobody had to be waited for"
    gate.set()
    assert client.ended()


def test_a_request_ends_under_the_settings_that_it_began_with(origin, serve, wire, until, tmp_path):
    gate, before, after = threading.Event(), tmp_path / "before", tmp_path / "after"
    server = origin(lambda asked: OK if asked.target == "/warm" else gate.wait(20) and OK)
    proxy = serve(server, log=Log(file=str(before)))
    client = wire(proxy)
    ready(proxy, client)
    client.send("GET /begun HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["awaiting"] == 1)
    proxy.reload(proxy.settings.model_copy(update={"log": Log(file=str(after))}))
    warm(wire(proxy))
    gate.set()
    assert client.answer().body == b"ok"
    until(lambda: "/begun" in before.read_text())
    until(lambda: "/warm" in after.read_text())
    targets = [json.loads(line)["target"] for line in before.read_text().splitlines()]
    assert (set(targets[:-1]), targets[-1]) == ({"/warm"}, "/begun")


def test_whatever_becomes_of_requests_none_is_forgotten(origin, serve, wire, until, inside):
    gate, body = threading.Event(), bytes(2**20)

    def script(asked):
        if asked.target == "/many":
            gate.wait(20)
        elif asked.target == "/cut":
            return None
        elif asked.target == "/big":
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        return OK

    server = origin(script)
    proxy = serve(
        server,
        caching=RouteCache(ttl="1h", coalesce=True),
        forward=Forward(private_targets=True, connect_ports=[server.port]),
    )
    many = [wire(proxy).send("GET /many HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(5)]
    until(lambda: proxy.stats()["waiting"] == 4)
    client = wire(proxy)
    for target, method in (
        ("/", "GET"),
        ("/", "GET"),
        ("/", "HEAD"),
        ("/", "POST"),
        ("/big", "GET"),
        ("/big", "GET"),
    ):
        assert client.ask(target, method).status == 200
    assert client.ask(f"http://{server.address}/").status == 200
    assert wire(proxy).ask("/cut").status == 502
    assert wire(proxy).ask(server.address, "CONNECT").status == 200
    assert wire(proxy).ask("/", "GET", "Expect: 100-continue").status == 200
    assert wire(proxy).send("GET / HTTP/1.1\r\n\r\n").answer().status == 400
    gate.set()
    assert [other.answer().body for other in many] == [b"ok"] * 5
    until(lambda: not inside(proxy)._now.server.under_way)
    until(lambda: inside(proxy)._workers.slots._taken == 0)


def test_requests_in_one_piece_are_answered_in_order(origin, serve, wire):
    proxy = serve(
        origin(
            lambda asked: (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
                % (len(asked.target), asked.target.encode())
            )
        )
    )
    client = wire(proxy)
    targets = [f"/{number}" for number in range(100)]
    client.send("".join(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n" for target in targets))
    assert [client.answer().body.decode() for _ in targets] == targets


def test_a_disk_tier_is_left_to_workers(origin, serve, wire, until, tmp_path):
    proxy = serve(origin(), caching=KEPT, cache=Cache(disk={"folder": str(tmp_path)}))
    client = wire(proxy)
    assert [client.ask().body for _ in range(5)] == [b"hello"] * 5
    until(lambda: handed_on(proxy) == 5)
    assert proxy.stats()["at_once"] == 0


def test_a_bad_request_does_not_keep_a_former_configuration(origin, serve, wire, inside, until):
    """It was the last request of the event loop's thread before the reload, and no other follows."""
    proxy = serve(origin())
    assert wire(proxy).ask().status == 200
    assert wire(proxy).send("GET / HTTP/1.1\r\n\r\n").answer().status == 400
    proxy.reload(Proxy(route=[Route(respond=204)]).settings)
    until(lambda: not any(thread.is_alive() for thread in inside(proxy)._retiring))
