"""Which answer is whose: variants, and what a hostile client or origin tries."""

import pytest

from policies.eviction import FREE_HEAD
from policies.http_cache.vary import MOST_VARIANTS
from realproxy import Cache, Route, Service
from realproxy.cache.store import cache_key
from realproxy.http1 import parse_request


def outcome(answer) -> str:
    return answer["Cache-Status"].removeprefix("proxytwin; ")


def saying(*fields: str):
    """A script that answers with what it was asked, in the body."""
    lines = "".join(f"{field}\r\n" for field in ("Cache-Control: max-age=60", *fields))

    def script(asked) -> bytes:
        body = f"{asked.target} {asked['Host']} {asked['Foo']} {asked['X-Forwarded-Host']}".encode()
        return b"HTTP/1.1 200 X\r\n%bContent-Length: %d\r\n\r\n%b" % (lines.encode(), len(body), body)

    return script


def test_each_variant_goes_to_those_who_ask_alike(origin, serve, wire):
    server = origin(saying("Vary: Foo"))
    client = wire(serve(server, caching=True))
    assert outcome(client.ask("/", "GET", "Foo: 1")) == "fwd=uri-miss; stored"
    assert outcome(client.ask("/", "GET", "Foo: 2")) == "fwd=vary-miss; stored"
    for value in "1", "2", "1":
        answer = client.ask("/", "GET", f"Foo: {value}")
        assert (outcome(answer), answer.body.split()[2]) == ("hit", value.encode())
    assert outcome(client.ask()) == "fwd=vary-miss; stored"
    assert len(server.asked) == 3


def test_two_lines_are_one_list(origin, serve, wire):
    client = wire(serve(origin(saying("Vary: Foo")), caching=True))
    client.ask("/", "GET", "Foo: 1,2")
    assert outcome(client.ask("/", "GET", "Foo: 1", "Foo: 2")) == "hit"


def test_variants_do_not_blow_the_index_up(origin, serve, wire):
    proxy = serve(origin(saying("Vary: Foo")), caching=True)
    client = wire(proxy)
    for number in range(3 * MOST_VARIANTS):
        client.ask("/", "GET", f"Foo: {number}")
    stats = proxy.stats()
    assert stats["cache_objects"] == 1
    assert stats["cache_bytes"] <= MOST_VARIANTS * 800
    assert outcome(client.ask("/", "GET", f"Foo: {3 * MOST_VARIANTS - 1}")) == "hit"
    assert outcome(client.ask("/", "GET", "Foo: 0")) == "fwd=vary-miss; stored"


def test_variants_fit_into_the_capacity(origin, serve, wire):
    server = origin(
        lambda _: (
            b"HTTP/1.1 200 X\r\nVary: Foo\r\nCache-Control: max-age=9\r\nContent-Length: 9000\r\n\r\n"
            + bytes(9000)
        )
    )
    proxy = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        cache=Cache(policy="lru", capacity="30KiB"),
    )
    client = wire(proxy)
    for number in range(9):
        client.ask("/", "GET", f"Foo: {number}")
        assert proxy.stats()["cache_bytes"] <= 30 * 1024
    assert outcome(client.ask("/", "GET", "Foo: 8")) == "hit"


@pytest.mark.parametrize(
    "poison",
    [
        ("/", "X-Forwarded-Host: evil.test"), ("/", "X-Host: evil.test"), ("/x/../"), ("/%2e%2e/"),
        ("/%2F"), ("//"), ("/?"), ("/;a"),
    ],
)  # fmt: skip
def test_what_is_not_in_the_key_does_not_reach_the_origin_or_is_in_the_key(origin, serve, wire, poison):
    """Nothing that a client can vary makes an answer that another client, asking plainly, is given."""
    target, *fields = (poison,) if isinstance(poison, str) else poison
    client = wire(serve(origin(saying()), caching=True))
    client.ask(target, "GET", *fields)
    assert client.ask().body == b"/ shop.test None shop.test"


def test_an_absolute_target_counts_before_host(origin, serve, wire):
    """RFC 9112, 3.2.2: an unkeyed Host must not poison."""
    client = wire(serve(origin(saying()), caching=True))
    client.send("GET http://shop.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    assert client.answer().body == b"/ shop.test None shop.test"
    assert client.ask().body == b"/ shop.test None shop.test"


def test_the_scheme_is_in_the_key_for_the_origin_is_told_of_it():
    """X-Forwarded-Proto: what is said to a plain client, such as a redirect, is no answer over TLS."""
    plain, secure = (parse_request(b"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n") for _ in range(2))
    secure.scheme = b"https"
    assert cache_key("web", plain) == b"web http://shop.test/a"
    assert cache_key("web", secure) == b"web https://shop.test/a"
    assert cache_key("", secure) == cache_key("", plain), "a forward target's scheme is its own"


def test_the_body_of_a_get_reaches_no_other_client(origin, serve, wire):
    server = origin(saying())
    client = wire(serve(server, caching=True))
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nevil")
    assert outcome(client.answer()) == "fwd=bypass; detail=request-body"
    assert outcome(client.ask()) == "fwd=uri-miss; stored"
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nevil")
    assert outcome(client.answer()) == "fwd=bypass; detail=request-body"
    assert len(server.asked) == 3


def test_a_body_that_ends_with_the_connection_is_not_stored(origin, serve, wire):
    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 200 X\r\nCache-Control: max-age=9\r\n\r\nall, or not?")

    client = wire(serve(origin(script), caching=True))
    assert [outcome(client.ask()) for _ in range(2)] == ["fwd=uri-miss; detail=incomplete"] * 2


def test_a_body_that_is_cut_is_not_stored(origin, serve, wire):
    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 200 X\r\nCache-Control: max-age=9\r\nContent-Length: 99\r\n\r\nshort")

    proxy = serve(origin(script), caching=True)
    answer = wire(proxy).ask()
    assert answer.missing == 94
    assert proxy.stats()["cache_objects"] == 0


def test_a_chunked_body_without_its_last_chunk_is_not_stored(origin, serve, wire):
    def script(asked):
        head = b"HTTP/1.1 200 X\r\nCache-Control: max-age=9\r\nTransfer-Encoding: chunked\r\n\r\n"
        asked.sock.sendall(head + b"5\r\nshort\r\n")

    proxy = serve(origin(script), caching=True)
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    client.head()
    assert client.reader.read() == b"5\r\nshort\r\n"
    assert proxy.stats()["cache_objects"] == 0


def test_what_a_client_says_to_be_selected_by_is_charged(origin, serve, wire):
    """Vary on something long: neither the index nor its memory grows beyond the capacity."""
    proxy = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[origin(saying("Vary: Foo")).address])},
        cache=Cache(policy="lru", capacity="100KiB"),
    )
    client = wire(proxy)
    for number in range(12):
        client.ask(f"/{number % 2}", "GET", f"Foo: {number}{'x' * 20_000}")
        assert 20_000 <= proxy.stats()["cache_bytes"] <= 100 * 1024


def test_a_long_key_is_charged(origin, serve, wire):
    proxy = serve(origin(saying()), caching=True)
    wire(proxy).ask("/" + "x" * 20_000)
    charged = proxy.stats()["cache_bytes"]
    assert charged >= 40_000 - FREE_HEAD, "in the key, and said in the body"


@pytest.mark.parametrize(
    "field", ["X-Original-URL: /admin", "X-Rewrite-URL: /admin", "Forwarded: host=evil.test"]
)
def test_fields_that_some_origins_route_by_do_not_change_what_others_are_given(origin, serve, wire, field):
    """They reach the origin, as fields do; one that answers by them has to say so in Vary."""
    client = wire(serve(origin(saying(f"Vary: {field.partition(':')[0]}")), caching=True))
    client.ask("/", "GET", field)
    client.ask("/", "GET")
    assert outcome(client.ask("/", "GET")) == "hit"
