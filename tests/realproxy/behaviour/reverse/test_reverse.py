"""The reverse side: what goes to an origin, what comes back, and what is changed on the way."""

import pytest
import requests

from loadtests.free_port import free_port
from realproxy import Match, Route, RouteCache, Service


def test_a_request_reaches_the_service_and_its_answer_comes_back(origin, serve):
    proxy = serve(origin())
    answer = requests.get(f"{proxy.url}/a?b=c", timeout=30)
    assert (answer.status_code, answer.text) == (200, "hello")
    assert proxy.stats()["upstreams"]["web"][0]["requests"] == 1


def test_the_first_matching_route_takes_the_request(origin, serve, wire):
    one, other = origin(), origin()
    proxy = serve(
        route=[
            Route(when=Match(path="/.git/*"), respond=403),
            Route(when=Match(host="*.shop.test", method="GET|HEAD"), to="one"),
            Route(when=Match(header={"X-Beta": "1"}, client="127.0.0.0/8"), to="other"),
        ],
        service={"one": Service(upstreams=[one.address]), "other": Service(upstreams=[other.address])},
    )
    client = wire(proxy)
    assert client.ask("/x/../%2egit/config", host="a.shop.test").status == 403
    assert client.ask("/", host="A.Shop.Test:8080").status == 200
    assert client.ask("/", "POST", "X-Beta: 1", "Content-Length: 0", host="a.shop.test").status == 200
    assert client.ask("/", host="else.test").status == 404
    assert (len(one.asked), len(other.asked)) == (1, 1)


def test_hop_by_hop_fields_stay_and_the_proxy_says_who_asked(origin, serve, wire):
    server = origin()
    wire(serve(server)).ask(
        "/",
        "GET",
        "Connection: keep-alive, X-Mine",
        "X-Mine: 1",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Upgrade: websocket",
        "Proxy-Authorization: Basic eA==",
        "Via: 1.0 fred",
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Proto: https",
        "X-Kept: a  b",
        host="Shop.Test:8080",
    )
    [asked] = server.asked
    for name in ("X-Mine", "Keep-Alive", "TE", "Upgrade", "Proxy-Authorization", "Connection"):
        assert asked[name] is None, name
    assert asked.all("Host") == ["shop.test:8080"]
    assert asked.all("Via") == ["1.0 fred", "1.1 proxytwin"]
    assert asked.all("X-Forwarded-For") == ["203.0.113.7, 127.0.0.1"]
    assert asked.all("X-Forwarded-Proto") == ["http"]
    assert asked.all("X-Forwarded-Host") == ["shop.test:8080"]
    assert asked["X-Kept"] == "a  b"


def test_hop_by_hop_fields_of_an_answer_stay_too(origin, serve, wire):
    server = origin(
        lambda _: (
            b"HTTP/1.1 200 Fine\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: a\r\nVia: 1.0 fred\r\n"
            b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
        )
    )
    answer = wire(serve(server)).ask()
    assert answer.line == "HTTP/1.1 200 Fine"
    assert [answer[name] for name in ("X-Mine", "Keep-Alive", "Connection")] == [None] * 3
    assert answer.all("Via") == ["1.0 fred", "1.1 proxytwin"]
    assert answer.all("Set-Cookie") == ["a=1", "b=2"]
    assert answer["Date"] is not None


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 9\r\n\r\n", b"some text"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nsome\r\n5;x=y\r\n text\r\n0\r\nX-Sum: 9\r\n\r\n"),
        (b"Connection: close\r\n\r\n", b"some text"),
    ],
    ids=["length", "chunked", "until close"],
)
@pytest.mark.parametrize("together", [True, False], ids=["at once", "byte by byte"])
def test_every_framing_of_an_answer_is_understood(origin, serve, wire, framing, body, together):
    def script(asked):
        data = b"HTTP/1.1 200 OK\r\n" + framing + body
        for piece in [data] if together else [data[i : i + 1] for i in range(len(data))]:
            asked.sock.sendall(piece)
        return None if b"close" in framing else b""

    client = wire(serve(origin(script)))
    for _ in range(2):
        answer = client.ask()
        assert answer.body == b"some text"
        assert answer.trailers == (["X-Sum: 9"] if b"chunked" in framing else [])


def test_a_client_of_http_1_0_gets_what_it_understands(origin, serve, wire):
    server = origin(
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\nX-Sum: 4\r\n\r\n"
    )
    proxy = serve(server)
    client = wire(proxy).send("GET / HTTP/1.0\r\n\r\n")
    answer = client.answer()
    assert (answer["Transfer-Encoding"], answer["Connection"], answer.body) == (None, "close", b"some")
    assert server.asked[0].all("Host") == [server.address]


def test_what_connection_lists_is_dropped_from_trailers_too(origin, serve, wire):
    """RFC 9110, 7.6.1: any header or trailer fields with the name of an option"""
    head = "Connection: X-Mine\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = "3\r\nabc\r\n0\r\nX-Mine: 1\r\nX-Yours: 2\r\n\r\n"
    server = origin(lambda _: f"HTTP/1.1 200 OK\r\n{head}{body}".encode())
    client = wire(serve(server))
    answer = client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{head}{body}").answer()
    assert (answer.body, answer.trailers) == (b"abc", ["X-Yours: 2"])
    [asked] = server.asked
    assert (asked.body, asked.trailers) == (b"abc", ["X-Yours: 2"])


@pytest.mark.parametrize("caching", [None, RouteCache(ttl="1h")], ids=["passed through", "stored"])
def test_via_names_the_version_that_each_message_came_with(origin, serve, wire, caching):
    """RFC 9110, 7.6.3"""
    server = origin(lambda _: b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nsome")
    proxy = serve(server, caching=caching)
    for minor in (0, 1):
        client = wire(proxy).send(f"GET /{minor} HTTP/1.{minor}\r\nHost: a\r\n\r\n")
        assert client.answer()["Via"] == "1.0 proxytwin"
        assert wire(proxy).ask(f"/{minor}")["Via"] == "1.0 proxytwin"
    first = {asked.target: asked["Via"] for asked in reversed(server.asked)}
    assert first == {"/0": "1.0 proxytwin", "/1": "1.1 proxytwin"}


def test_a_client_of_http_1_0_may_keep_its_connection(origin, serve, wire):
    client = wire(serve(origin()))
    for _ in range(2):
        answer = client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
        assert (answer.body, answer["Connection"]) == (b"hello", "keep-alive")
    client.send("GET / HTTP/1.0\r\n\r\n").answer()
    assert client.ended()


def test_connections_are_kept_on_both_sides(origin, serve, wire):
    server = origin()
    proxy = serve(server)
    client = wire(proxy)
    for _ in range(20):
        assert client.ask().body == b"hello"
    assert (server.connections, proxy.stats()["accepted"]) == (1, 1)
    assert client.ask("/", "GET", "Connection: close")["Connection"] == "close"
    assert client.ended()


def test_pipelined_requests_are_answered_in_order(origin, serve, wire):
    server = origin(
        lambda asked: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%b" % asked.target[1:].encode()
    )
    client = wire(serve(server))
    numbers = [f"{number:03}" for number in range(100)]
    kinds = (
        "POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{n}",
        "POST /{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{n}\r\n0\r\n\r\n",
        "\r\nGET /{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    text = "".join(kinds[int(number) % 3].format(n=number) for number in numbers)
    client.send(text)
    assert [client.answer().body.decode() for _ in numbers] == numbers
    assert [asked.body.decode() or asked.target[1:] for asked in server.asked] == numbers


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_have_none(origin, serve, wire, status):
    server = origin(lambda _: b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status)
    client = wire(serve(server))
    for _ in range(2):
        answer = client.ask()
        assert (answer.status, answer["Transfer-Encoding"], answer["ETag"]) == (status, None, "a")


def test_head_has_the_fields_of_get_and_no_body(origin, serve, wire):
    client = wire(serve(origin(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")))
    for _ in range(2):
        assert client.ask("/", "HEAD")["Content-Length"] == "12345"


@pytest.mark.parametrize("status", [299, 418, 499, 599, 999])
def test_unusual_methods_and_statuses_pass(origin, serve, wire, status):
    server = origin(lambda _: b"HTTP/1.1 %d Odd\r\nContent-Length: 2\r\n\r\nok" % status)
    answer = wire(serve(server)).ask("/", "M-SEARCH")
    assert (answer.status, answer.body, server.asked[0].method) == (status, b"ok", "M-SEARCH")


def test_a_client_that_expects_100_continue_gets_it_from_the_upstream(origin, serve, wire):
    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(asked.body), asked.body)

    client = wire(serve(origin(script)))
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert client.head().status == 100
    assert client.head()["Link"] == "x"
    client.send("body")
    assert client.answer().body == b"body"
    assert client.ask("/", "PUT", "Content-Length: 0").status == 100


def test_http_1_0_cannot_expect_to_be_told_to_go_on(origin, serve, wire):
    """RFC 9110, 10.1.1: it is ignored, and not sent on."""

    def script(asked):
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(asked.body), asked.body)

    client = wire(serve(server := origin(script)))
    client.send("PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
    assert client.answer().body == b"body"
    assert server.asked[0]["Expect"] is None


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("1", "0"), ("4294967296", "4294967295"), ("00002", "1"), ("9" * 5_000, str(2**63 - 1))],
)
def test_max_forwards_is_counted_down_however_large_it_is(origin, serve, wire, asked, sent):
    """RFC 9110, 7.6.2: 1*DIGIT"""
    client = wire(serve(server := origin()))
    assert client.ask("/", "OPTIONS", f"Max-Forwards: {asked}").status == 200
    assert server.asked[0]["Max-Forwards"] == sent
    assert client.ask("/", "OPTIONS", "Max-Forwards: 000")["Allow"]
    assert len(server.asked) == 1


def test_an_upstream_may_refuse_before_the_body_is_sent(origin, serve, wire):
    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    client = wire(serve(origin(script)))
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 400\r\n\r\n")
    answer = client.answer()
    assert (answer.status, answer.body, answer["Connection"]) == (413, b"no", "close")
    assert client.ended()


def test_an_upstream_may_answer_while_it_reads(origin, serve, wire):
    size = 4_000_000

    def echo(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            data = asked.reader.read1(2**16)
            left -= len(data)
            asked.sock.sendall(data)

    client = wire(serve(origin(echo)))
    client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
    answer, received = None, 0
    for _ in range(size // 40_000):
        client.send(b"x" * 40_000)
        answer = answer or client.head()
        received += len(client.reader.read(40_000))
    assert received == size


def test_switching_protocols_without_being_asked_is_a_bad_gateway(origin, serve, wire):
    server = origin(lambda _: b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    assert wire(serve(server)).ask().status == 502


def test_a_respond_route_reads_past_a_body(serve, wire):
    client = wire(serve(route=[Route(respond=204)]))
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    assert client.answer().status == 204
    assert client.ask().status == 204


def test_a_request_in_circles_is_stopped(serve, wire):
    port = free_port()
    proxy = serve(
        listen=f"127.0.0.1:{port}",
        route=[Route(to="self")],
        service={"self": Service(upstreams=[f"127.0.0.1:{port}"])},
    )
    assert wire(proxy).ask().status == 508


def test_absolute_form_of_our_own_name_goes_to_the_routes(origin, serve, wire):
    server = origin()
    answer = wire(serve(server)).ask("http://shop.test/a", host="ignored.test")
    assert answer.body == b"hello"
    assert (server.asked[0].target, server.asked[0]["Host"]) == ("/a", "shop.test")


def test_connect_without_a_forward_side_is_refused(origin, serve, wire):
    assert wire(serve(origin())).ask("shop.test:443", "CONNECT").status == 405


@pytest.mark.parametrize("balance", ["round_robin", "random", "least_requests", "p2c"])
def test_every_balancer_spreads_requests_and_its_books_balance(origin, serve, wire, balance):
    proxy = serve(origin(), origin(), balance=balance, seed=1)
    client = wire(proxy)
    for _ in range(40):
        client.ask()
    upstreams = proxy.stats()["upstreams"]["web"]
    assert sum(upstream["requests"] for upstream in upstreams) == 40
    assert all(upstream["requests"] >= 5 for upstream in upstreams)
    assert [upstream["outstanding"] for upstream in upstreams] == [0, 0]


def test_weights_count_without_a_word_about_balancing(origin, serve, wire):
    light, heavy = origin(), origin()
    upstreams = [{"address": light.address, "weight": 1}, {"address": heavy.address, "weight": 9}]
    client = wire(serve(route=[Route(to="web")], service={"web": Service(upstreams=upstreams)}))
    for _ in range(20):
        client.ask()
    assert (len(light.asked), len(heavy.asked)) == (2, 18)


def test_the_same_seed_makes_the_same_choices(origin, serve, wire):
    chosen = []
    for _ in range(2):
        one, other = origin(), origin()
        client = wire(serve(one, other, balance="random", seed=7))
        picks = []
        for _ in range(30):
            before = len(one.asked)
            client.ask()
            picks.append(len(one.asked) - before)
        chosen.append(picks)
    assert chosen[0] == chosen[1]
    assert 0 < sum(chosen[0]) < 30


@pytest.mark.needs("curl")
def test_curl_works(origin, serve):
    import subprocess

    server = origin(
        lambda asked: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(asked.body), asked.body)
    )
    proxy = serve(server)
    command = ["curl", "-sS", "--max-time", "10", "--data-binary", "a=b", f"{proxy.url}/a"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"a=b"
