"""Coalescing on real sockets: one fetch for all requests, even if the fetch fails."""

import json
import threading
import time

import pytest

from realproxy import Cache, Forward, Limits, Log, Route, RouteCache
from realproxy.cache import collapse

GATHER = RouteCache(coalesce=True, wait="60s")
FIELDS = b"Cache-Control: max-age=60\r\n"


def whole(body: bytes, fields: bytes = FIELDS, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


def outcome(answer) -> str:
    return answer["Cache-Status"].removeprefix("proxytwin; ")


class Gate:
    """A script that answers as another one says, once it is opened."""

    def __init__(self, script) -> None:
        self.script, self.opened = script, threading.Event()

    def __call__(self, asked) -> bytes | None:
        assert self.opened.wait(60)
        return self.script(asked)


def gathered(proxy, count: int):
    """Whether so many ask for one object: one fetches, the others wait."""
    return lambda: proxy.stats()["waiting"] == count - 1


def stored(proxy):
    """Whether the response is stored; followers of the fetch get its last byte a moment before that."""
    return lambda: proxy.stats()["cache_objects"] == 1


def test_a_thousand_clients_cause_one_fetch_and_are_all_answered(origin, serve, wire, until):
    gate = Gate(lambda _: whole(b"x" * 5_000))
    server = origin(gate)
    proxy = serve(server, caching=GATHER, limits=Limits(threads=8, drain="1s"))
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(1_000)]
    until(gathered(proxy, 1_000))
    assert proxy.stats()["threads"] <= 8, "who waits holds no thread"
    gate.opened.set()
    answers = [client.answer() for client in clients]
    assert {answer.body for answer in answers} == {b"x" * 5_000}
    assert sorted(map(outcome, answers))[-1] == "fwd=uri-miss; stored"
    assert sum(outcome(answer) == "fwd=uri-miss; collapsed" for answer in answers) == 999
    assert len(server.asked) == 1
    until(lambda: proxy.stats()["answers"] == {"200": 1_000})
    stats = proxy.stats()
    assert (stats["requests"], stats["misses"], stats["collapsed"], stats["hits"]) == (1_000, 1, 999, 0)
    assert outcome(clients[0].ask("/", host="a")) == outcome(clients[1].ask("/", host="a")) == "hit"


def test_the_forward_side_gathers_too(origin, serve, wire, until):
    gate = Gate(lambda _: whole(b"hello"))
    server = origin(gate)
    proxy = serve(forward=Forward(private_targets=True, cache=True, coalesce=True))
    request = f"GET http://{server.address}/ HTTP/1.1\r\nHost: {server.address}\r\n\r\n"
    clients = [wire(proxy).send(request) for _ in range(5)]
    until(gathered(proxy, 5))
    gate.opened.set()
    assert [client.answer().body for client in clients] == [b"hello"] * 5
    assert len(server.asked) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_who_waits_is_sent_what_arrives_while_it_arrives(origin, serve, wire, until, chunked):
    middle = threading.Event()

    def script(asked):
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 10"
        first, last = (b"5\r\nfirst\r\n", b"5\r\n last\r\n0\r\n\r\n") if chunked else (b"first", b" last")
        asked.sock.sendall(b"HTTP/1.1 200 X\r\n%b%b\r\n\r\n%b" % (FIELDS, framing, first))
        assert middle.wait(60)
        return last

    server = origin(gate := Gate(script))
    proxy = serve(server, caching=GATHER)
    early = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(3)]
    until(gathered(proxy, 3))
    gate.opened.set()
    first = b"5\r\nfirst\r\n" if chunked else b"first"
    for client in early:
        client.head()
        assert client.reader.read(len(first)) == first
    late = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    late.head()
    assert late.reader.read(len(first)) == first
    middle.set()
    rest = b"5\r\n last\r\n0\r\n\r\n" if chunked else b" last"
    for client in [*early, late]:
        assert client.reader.read(len(rest)) == rest
        until(stored(proxy))
        assert outcome(client.ask(host="a")) == "hit", "and the connection lives on"
    assert len(server.asked) == 1


def test_a_client_that_does_not_read_delays_nobody(origin, serve, wire, until):
    """Neither a follower, nor the client whose request is the fetch."""
    size = 8_000_000
    server = origin(gate := Gate(lambda _: whole(bytes(size))))
    proxy = serve(server, caching=GATHER, limits=Limits(threads=2, drain="0s"))
    lazy = []
    for number in range(1, 6):
        lazy.append(wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        until(gathered(proxy, number))
        until(lambda: len(server.asked) == 1)
    good = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(gathered(proxy, 6))
    gate.opened.set()
    start = time.monotonic()
    assert len(good.answer().body) == size
    until(stored(proxy))
    assert outcome(good.ask(host="a")) == "hit"
    assert time.monotonic() - start < 25
    assert [len(client.answer().body) for client in lazy] == [size] * 5, "they are served when they read"
    assert len(server.asked) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_fetch_that_dies_half_way_leaves_nobody_hanging_and_stores_nothing(
    origin, serve, wire, until, chunked
):
    def script(asked):
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 10"
        first = b"5\r\nfirst\r\n" if chunked else b"first"
        asked.sock.sendall(b"HTTP/1.1 200 X\r\n%b%b\r\n\r\n%b" % (FIELDS, framing, first))

    gate = Gate(script)
    proxy = serve(origin(gate), caching=GATHER)
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(20)]
    until(gathered(proxy, 20))
    gate.opened.set()
    first = b"5\r\nfirst\r\n" if chunked else b"first"
    for client in clients:
        assert client.head().status == 200
        assert client.reader.read() == first, "cut, and seen to be cut"
    stats = proxy.stats()
    assert (stats["cache_objects"], stats["cache_bytes"]) == (0, 0)
    gate.script = lambda _: whole(b"hello")
    assert wire(proxy).ask(host="a").body == b"hello"


def test_a_fetch_that_fails_is_tried_once_more_for_all(origin, serve, wire, until):
    answers = [None, whole(b"hello")]
    server = origin(gate := Gate(lambda _: answers.pop(0)))
    proxy = serve(server, caching=GATHER)
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(10)]
    until(gathered(proxy, 10))
    gate.opened.set()
    statuses = [client.answer().status for client in clients]
    assert sorted(statuses) == [200] * 9 + [502]
    assert len(server.asked) == 2


def test_who_has_seen_two_fetches_fail_is_told(origin, serve, wire, until):
    server = origin(gate := Gate(lambda _: None))
    proxy = serve(server, caching=GATHER)
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(20)]
    until(gathered(proxy, 20))
    gate.opened.set()
    assert [client.answer().status for client in clients] == [502] * 20
    assert len(server.asked) == 2


def test_what_is_private_is_fetched_by_each_at_once_and_known_to_be(origin, serve, wire, until):
    """Hit-for-miss: no request waits for a response that it could not use."""
    count = []
    private = whole(b"secret", b"Cache-Control: private\r\n")
    server = origin(gate := Gate(lambda _: count.append(1) or private))
    proxy = serve(server, caching=GATHER)
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(10)]
    until(gathered(proxy, 10))
    until(lambda: len(server.asked) == 1)
    gate.opened.set()
    assert {outcome(client.answer()) for client in clients} == {"fwd=uri-miss; detail=private"}
    gate.opened.clear()
    later = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(5)]
    until(lambda: len(server.asked) == 15)
    gate.opened.set()
    assert {client.answer().body for client in later} == {b"secret"}


def test_each_waits_for_the_variant_that_it_wants(origin, serve, wire, until):
    def script(asked) -> bytes:
        return whole(f"for {asked['Foo']}".encode(), FIELDS + b"Vary: Foo\r\n")

    server = origin(gate := Gate(script))
    proxy = serve(server, caching=GATHER)
    wanted = ["1", "2", "1", "2", "3", "1"]
    clients = [wire(proxy).send(f"GET / HTTP/1.1\r\nHost: a\r\nFoo: {foo}\r\n\r\n") for foo in wanted]
    until(gathered(proxy, len(wanted)))
    gate.opened.set()
    assert [client.answer().body.decode() for client in clients] == [f"for {foo}" for foo in wanted]
    assert sorted(asked["Foo"] for asked in server.asked) == ["1", "2", "3"]


def test_a_part_and_a_condition_wait_for_the_whole(origin, serve, wire, until):
    server = origin(gate := Gate(lambda _: whole(b"0123456789", FIELDS + b'ETag: "1"\r\n')))
    proxy = serve(server, caching=GATHER)
    clients = []
    for field in "X: 1", "Range: bytes=2-4", 'If-None-Match: "1"':
        clients.append(wire(proxy).send(f"GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"))
        until(gathered(proxy, len(clients)))
        until(lambda: len(server.asked) == 1)
    clients.append(wire(proxy).send("GET / HTTP/1.0\r\nHost: a\r\n\r\n"))
    until(gathered(proxy, len(clients)))
    gate.opened.set()
    answers = [client.answer() for client in clients]
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b"0123456789"), (206, b"234"), (304, b""), (200, b"0123456789"),
    ]  # fmt: skip
    assert len(server.asked) == 1


def test_a_stale_answer_is_confirmed_once_for_all(origin, serve, wire, until):
    """The stampede on what has just gone stale."""
    answers = [
        whole(b"hello", b'ETag: "1"\r\n'),
        b'HTTP/1.1 304 X\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n',
    ]
    server = origin(gate := Gate(lambda _: answers.pop(0)))
    gate.opened.set()
    proxy = serve(server, caching=RouteCache(ttl="30ms", coalesce=True))
    wire(proxy).ask(host="a")
    gate.opened.clear()
    time.sleep(0.04)
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(10)]
    until(gathered(proxy, 10))
    gate.opened.set()
    answers_seen = [client.answer() for client in clients]
    assert {answer.body for answer in answers_seen} == {b"hello"}
    assert sorted(map(outcome, answers_seen))[0] == "fwd=stale; fwd-status=304; stored"
    assert len(server.asked) == 2


def test_a_stale_answer_stands_in_for_all_while_the_origin_fails(origin, serve, wire, until):
    answers = [whole(b"hello", b'ETag: "1"\r\n'), None, None]
    server = origin(gate := Gate(lambda _: answers.pop(0)))
    gate.opened.set()
    proxy = serve(server, caching=RouteCache(ttl="30ms", coalesce=True))
    wire(proxy).ask(host="a")
    gate.opened.clear()
    time.sleep(0.04)
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(10)]
    until(gathered(proxy, 10))
    gate.opened.set()
    assert {client.answer().body for client in clients} == {b"hello"}
    assert len(server.asked) <= 3


def test_what_must_be_asked_about_each_time_is_not_put_in_a_row(origin, serve, wire, until):
    """Stored or not: an answer with no-cache does for one request alone."""
    server = origin(gate := Gate(lambda _: whole(b"x", b'ETag: "1"\r\nCache-Control: no-cache\r\n')))
    gate.opened.set()
    proxy = serve(server, caching=GATHER)
    wire(proxy).ask(host="a")
    gate.opened.clear()
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(5)]
    until(lambda: len(server.asked) == 6)
    gate.opened.set()
    assert {client.answer().body for client in clients} == {b"x"}


def test_nobody_waits_longer_than_allowed(origin, serve, wire, until):
    def script(asked) -> bytes:
        if len(server.asked) == 1:
            assert gate.wait(60)
        return whole(b"hello")

    gate = threading.Event()
    server = origin(script)
    proxy = serve(server, caching=RouteCache(coalesce=True, wait="150ms"))
    first = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: server.asked)
    start = time.monotonic()
    assert wire(proxy).ask(host="a").body == b"hello"
    assert 0.15 <= time.monotonic() - start < 15
    gate.set()
    assert first.answer().body == b"hello"


def test_a_body_that_turns_out_too_long_is_given_up_without_harm(origin, serve, wire, until, monkeypatch):
    """Clients that go on reading get all of it; nothing is stored, and memory is freed."""
    monkeypatch.setattr(
        "realproxy.cache.shared_response.GRACE", 60.0
    )  # otherwise a slow client is cut off on a busy machine
    size = 12_000_000

    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 200 X\r\n%bTransfer-Encoding: chunked\r\n\r\n" % FIELDS)
        for _ in range(size // 100_000):
            asked.sock.sendall(b"%x\r\n%b\r\n" % (100_000, bytes(100_000)))
        return b"0\r\n\r\n"

    gate = Gate(script)
    proxy = serve(
        origin(gate),
        route=[Route(to="web", cache=GATHER)],
        cache=Cache(policy="lru", capacity="100KiB"),
        limits=Limits(drain="0s"),
    )
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(3)]
    until(gathered(proxy, 3))
    gate.opened.set()
    bodies: dict[int, int] = {}
    readers = [
        threading.Thread(target=lambda n=n: bodies.update({n: len(clients[n].answer().body)}))
        for n in range(3)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert bodies == dict.fromkeys(range(3), size)
    assert proxy.stats()["cache_bytes"] == 0
    assert outcome(wire(proxy).ask("/other", host="a")) == "fwd=uri-miss; stored"


def test_an_unsafe_method_ends_what_is_on_its_way(origin, serve, wire, until):
    """RFC 9111, 4.4: a request after the change does not get a response that was fetched before it."""
    version = ["old"]

    def script(asked) -> bytes:
        if asked.method == "POST":
            version[0] = "new"
            return b"HTTP/1.1 204 X\r\n\r\n"
        body = version[0].encode()
        if body == b"old":
            assert gate.wait(60)
        return whole(body)

    gate = threading.Event()
    server = origin(script)
    proxy = serve(server, caching=GATHER)
    early = wire(proxy).send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    until(lambda: len(server.asked) == 1)
    assert wire(proxy).ask("/", "POST", "Content-Length: 0").status == 204
    assert wire(proxy).ask().body == b"new"
    gate.set()
    assert early.answer().body == b"old"
    assert wire(proxy).ask().body == b"new", "and what came late is not stored over it"


def test_a_stop_leaves_nobody_waiting(origin, serve, wire, until):
    gate = Gate(lambda _: whole(b"hello"))
    server = origin(gate)
    proxy = serve(server, caching=GATHER, limits=Limits(drain="100ms"))
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(10)]
    until(gathered(proxy, 10))
    start = time.monotonic()
    proxy.stop()
    gate.opened.set()
    assert time.monotonic() - start < 20
    for client in clients:
        assert client.reader.read() == b""


def test_who_waited_is_logged(origin, serve, wire, until, tmp_path):
    server = origin(gate := Gate(lambda _: whole(b"hello")))
    file = tmp_path / "access.log"
    proxy = serve(server, caching=GATHER, log=Log(file=str(file)))
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(3)]
    until(gathered(proxy, 3))
    gate.opened.set()
    for client in clients:
        client.answer()
    proxy.stop()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["status"], line["bytes"], line["end"]) for line in lines] == [(200, 5, "done")] * 3
    assert sorted(line["cache"] for line in lines) == ["fwd=uri-miss; collapsed"] * 2 + [
        "fwd=uri-miss; stored"
    ]


def test_a_client_that_reads_late_is_sent_the_last_chunk_once(origin, serve, wire, until, monkeypatch):
    """The worker has the whole response, but the client takes none of it: the fan-out thread sends it."""
    monkeypatch.setattr(collapse, "send_now", lambda _, pieces: [memoryview(b"".join(pieces))])
    head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = origin(lambda _: head + b"4\r\nbody\r\n0\r\n\r\n")
    client = wire(serve(server, caching=GATHER))
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [client.answer().body for _ in range(2)] == [b"body"] * 2
