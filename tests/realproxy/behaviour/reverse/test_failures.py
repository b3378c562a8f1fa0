"""What fails, on either side, ends in the right status or a cut connection; never in a hang."""

import contextlib
import select
import socket
import threading
import time

import pytest

from realproxy import Forward, Limits, Route, Service
from realproxy.errors import Termination

QUICK = Limits(
    header_timeout="150ms", idle_timeout="300ms", answer_timeout="200ms", connect_timeout="200ms", drain="1s"
)


def requests_of(server) -> list[tuple[str, str, bytes]]:
    return [(asked.method, asked.target, asked.body) for asked in server.asked]


def ends(proxy, end: Termination) -> int:
    return proxy.stats()["ends"].get(end, 0)


# --- upstreams ---------------------------------------------------------------------------------


def test_an_upstream_that_refuses_is_a_502(serve, wire, nobody, until):
    proxy = serve(route=[Route(to="web")], service={"web": Service(upstreams=[f"127.0.0.1:{nobody}"])})
    client = wire(proxy)
    answer = client.ask()
    assert (answer.status, b"refused" in answer.body) == (502, True)
    assert client.ask().status == 502
    until(lambda: proxy.stats()["upstreams"]["web"][0]["outstanding"] == 0)


def test_an_upstream_that_cannot_be_reached_in_time_is_a_504(serve, wire):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(address)
        proxy = serve(
            route=[Route(to="web")],
            service={"web": Service(upstreams=[f"127.0.0.1:{address[1]}"])},
            limits=QUICK,
        )
        assert wire(proxy).ask().status == 504
        for sock in crowd:
            sock.close()


def test_an_upstream_that_does_not_answer_is_a_504(origin, serve, wire):
    server = origin(lambda asked: asked.reader.read(1))
    client = wire(serve(server, limits=QUICK))
    start = time.monotonic()
    assert client.ask().status == 504
    assert 0.15 < time.monotonic() - start < 10


def test_a_head_that_trickles_in_does_not_stretch_the_time_limit(origin, serve, wire):
    def trickle(asked):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1000:
            asked.sock.sendall(bytes([byte]))
            time.sleep(0.02)

    client = wire(serve(origin(trickle), limits=QUICK))
    start = time.monotonic()
    assert client.ask().status == 504
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: bad\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"",
    ],
    ids=["no status line", "bad field", "two lengths", "bad chunk", "long head", "nothing"],
)
def test_a_malformed_answer_is_a_502_and_the_client_keeps_its_connection(origin, serve, wire, answer):
    def script(asked):
        asked.sock.sendall(answer)

    proxy = serve(origin(script))
    client = wire(proxy)
    assert [client.ask().status for _ in range(2)] == [502, 502]


@pytest.mark.parametrize(
    "head", [b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
)
def test_an_upstream_that_dies_in_mid_body_cuts_the_client_off(origin, serve, wire, head, until):
    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" + head)

    server = origin(script)
    proxy = serve(server, caching=True)
    for _ in range(2):  # the second shows that nothing was stored
        client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.head().status == 200
        rest = client.reader.read()
        assert rest in (b"abc", b"3\r\nabc\r\n")
    assert len(server.asked) == 2
    until(lambda: ends(proxy, Termination.UPSTREAM_BROKEN) == 2)


def test_a_cut_body_for_a_1_0_client_ends_in_a_reset(origin, serve, wire):
    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

    client = wire(serve(origin(script))).send("GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        client.reader.read()


def test_a_body_that_stalls_is_cut_off(origin, serve, wire):
    def stall(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        asked.reader.read(1)

    proxy = serve(origin(stall), limits=Limits(answer_timeout="1s", drain="1s"))
    answer = wire(proxy).ask()
    assert (answer.body, answer.missing) == (b"abc", 97)
    assert ends(proxy, Termination.UPSTREAM_SLOW) == 1


def test_a_kept_connection_that_has_ended_costs_no_request(origin, serve, wire):
    """The origin closes each connection after its second request, without answering that one."""
    served = {}

    def script(asked):
        count = served[asked.sock] = served.get(asked.sock, 0) + 1
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if count == 1 else None

    server = origin(script)
    client = wire(serve(server))
    assert [client.ask().status for _ in range(5)] == [200] * 5


def test_a_post_is_not_sent_twice(origin, serve, wire):
    served = []

    def script(asked):
        served.append(asked)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if len(served) == 1 else None

    client = wire(serve(origin(script)))
    assert client.ask("/", "POST", "Content-Length: 0").status == 200
    assert client.ask("/", "POST", "Content-Length: 0").status == 502
    assert len(served) == 2


def test_bytes_behind_an_answer_do_not_become_the_next_one(origin, serve, wire):
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + extra)
    client = wire(serve(server))
    assert [client.ask().body for _ in range(3)] == [b"good"] * 3
    assert server.connections == 3


# --- clients -----------------------------------------------------------------------------------


def test_half_a_head_is_a_408(origin, serve, wire):
    client = wire(serve(origin(), limits=QUICK)).send("GET / HTTP/1.1\r\nHost: a\r\n")
    assert client.answer().status == 408
    assert client.ended()


def test_a_head_that_trickles_in_is_a_408_too(origin, serve, wire):
    client = wire(serve(origin(), limits=QUICK))
    client.send("GET / HTTP/1.1\r\nX: ")
    with contextlib.suppress(ConnectionError):  # once it is over
        for _ in range(20):
            client.send("a")
            time.sleep(0.02)
    assert client.answer().status == 408


@pytest.mark.parametrize("before", ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY UNKNOWN\r\n"])
@pytest.mark.parametrize("pieces", [["\r\n"], ["\r", "\n"]], ids=["whole", "halves"])
def test_empty_lines_do_not_renew_the_time_to_begin_a_request(origin, serve, wire, before, pieces):
    """RFC 9112, 2.2: they are ignored."""
    announced = {"proxy_protocol": {"from": ["127.0.0.1"]}} if before.startswith("PROXY") else {}
    client = wire(serve(origin(), limits=QUICK, **announced)).send(before)
    if before.startswith("GET"):
        assert client.answer().body == b"hello"
    for piece in pieces * 30:
        if select.select([client.sock], [], [], 0.06 / len(pieces))[0]:
            break
        client.send(piece)
    else:
        pytest.fail("it was given more and more time")
    assert client.ended()


def test_an_empty_line_does_not_begin_the_time_of_a_head(origin, serve, wire):
    limits = Limits(header_timeout="100ms", idle_timeout="30s", drain="1s")
    client = wire(serve(origin(), limits=limits)).send("\r\n\r")
    time.sleep(0.3)
    assert client.send("\n").ask().body == b"hello"


def test_empty_lines_are_counted_for_each_request(origin, serve, wire):
    client = wire(serve(origin(), limits=Limits(drain="1s")))
    for _ in range(3):
        assert client.send("\r\n" * 32).ask().body == b"hello"
    client.send("\r\n" * 32)
    assert client.send("\r\n").answer().status == 400
    assert client.ended()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"GET /" + b"a" * 40_000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n", 400),
    ],
)
def test_garbage_is_answered_and_the_connection_closed(origin, serve, wire, data, status):
    server = origin(lambda asked: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(asked.body))
    client = wire(serve(server)).send(data)
    answer = client.answer()
    assert (answer.status, answer["Connection"]) == (status, "close")
    assert client.ended()


def test_bytes_behind_a_refused_head_are_no_request(origin, serve, wire):
    server = origin()
    client = wire(serve(server))
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send("0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.answer().status == 400
    assert client.ended()
    assert server.asked == []


BEHIND = "GET /behind HTTP/1.1\r\nHost: shop.test\r\n\r\n"
HIDDEN = f"POST /behind HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {len(BEHIND)}\r\n\r\n"


@pytest.mark.parametrize("arrives", ["at once", "in pieces"])
@pytest.mark.parametrize(
    "framing",
    ["Content-Length: {}\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n"],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("trouble", ["refused", "rubbish", "late", "forward"])
def test_what_follows_the_body_of_a_request_that_failed_is_read_as_it_was_meant(
    origin, serve, wire, nobody, trouble, framing, arrives
):
    """Were the body skipped twice, a body of the next request would be obeyed as a request."""
    server, rubbish = origin(), origin(lambda asked: asked.body and b"rubbish\r\n\r\n")
    late = origin(lambda asked: asked.body and asked.reader.read(1) and None)
    places = {"refused": f"127.0.0.1:{nobody}", "rubbish": rubbish.address, "late": late.address}
    services = {name: Service(upstreams=[address]) for name, address in places.items()}
    proxy = serve(
        route=[*(Route(when={"path": f"/{name}"}, to=name) for name in places), Route(to="web")],
        service={"web": Service(upstreams=[server.address]), **services},
        forward=Forward(private_targets=True),
        limits=Limits(answer_timeout="300ms", drain="1s"),
    )
    target = f"http://127.0.0.1:{nobody}/" if trouble == "forward" else f"/{trouble}"
    body = "x" * len(HIDDEN)
    head, _, rest = framing.format(len(body), body).partition("\r\n\r\n")
    data = f"POST {target} HTTP/1.1\r\nHost: shop.test\r\n{head}\r\n\r\n{rest}{HIDDEN}{BEHIND}"
    client = wire(proxy)
    cuts = [data] if arrives == "at once" else [data[:-200], data[-200:-20], data[-20:]]
    with contextlib.suppress(ConnectionError):
        for piece in cuts:
            client.send(piece)
    assert client.answer().status in (502, 504)
    whole = [("POST", "/behind", BEHIND.encode())]
    if arrives == "at once":
        assert client.answer().body == b"hello"
        assert requests_of(server) == whole
    else:  # it may as well be closed
        with contextlib.suppress(EOFError, ConnectionError):
            client.answer()
        assert requests_of(server) in ([], whole)


def test_a_silent_connection_is_closed(origin, serve, wire):
    proxy = serve(origin(), limits=QUICK)
    never, once = wire(proxy), wire(proxy)
    once.ask()
    assert never.ended()
    assert once.ended()


def test_a_body_that_stalls_on_its_way_up_is_a_408(origin, serve, wire):
    server = origin(lambda asked: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(asked.body))
    client = wire(serve(server, limits=QUICK))
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    assert client.answer().status == 408


def test_an_upstream_that_does_not_read_is_a_504(origin, serve, wire):
    release = threading.Event()

    def deaf(asked):
        release.wait(30)

    proxy = serve(origin(deaf), limits=QUICK)
    client = wire(proxy)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    client.sock.setblocking(False)
    while not select.select([client.sock], [client.sock], [], 20)[0]:
        with contextlib.suppress(BlockingIOError):
            client.sock.send(bytes(100_000))
    client.sock.settimeout(20)
    assert client.answer().status == 504
    release.set()


def test_a_client_that_leaves_in_mid_answer_frees_its_worker(origin, serve, wire, until):
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + bytes(50_000_000))
    proxy = serve(server)
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    client.head()
    client.close()
    until(lambda: ends(proxy, Termination.CLIENT_GONE) == 1)
    until(lambda: proxy.stats()["upstreams"]["web"][0]["outstanding"] == 0)


def test_a_client_that_leaves_in_mid_upload_ends_the_request_upstream(origin, serve, wire, until):
    seen = []

    def script(asked):
        seen.append(len(asked.body))

    proxy = serve(origin(script))
    client = wire(proxy).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    until(lambda: proxy.stats()["upstreams"]["web"][0]["outstanding"] == 1)
    client.close()
    until(lambda: seen == [3])
    until(lambda: ends(proxy, Termination.CLIENT_GONE) == 1)


def test_only_some_statuses_are_repeated_and_later_each_time(origin, serve, wire):
    times = []

    def script(asked):
        times.append(time.monotonic())
        status = int(asked.target[1:])
        return b"HTTP/1.1 %d Oh\r\nContent-Length: 0\r\n\r\n" % status

    server = origin(script)
    retry = {"attempts": 3, "codes": [503], "backoff": "40ms"}
    proxy = serve(route=[{"to": "web"}], service={"web": {"upstreams": [server.address], "retry": retry}})
    client = wire(proxy)
    assert client.ask("/500").status == 500
    assert len(times) == 1
    times.clear()
    assert client.ask("/503").status == 503
    first, second, third = times
    assert second - first >= 0.04
    assert third - second >= 0.08
