"""An answer that one client's request fields caused reaches nobody else, and takes no good copy away."""

import threading

import pytest

from realproxy import Cache, Forward, Proxy, Route, RouteCache, Service
from realproxy.cache.disk_entry import read_entry

FRESH = "Cache-Control: max-age=60"
BAD = b"bad"

ATTACKS = [
    (416, "Range: bytes=200-"), (400, "Range: bytes=cow"), (412, 'If-Match: "x"'), (412, "If-None-Match: *"),
    (412, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), (417, "Expect: x"), (406, "Accept: x/y"),
    (406, "Accept-Encoding: x"), (415, "Accept-Encoding: x"), (406, "Accept-Language: xx"),
    (415, "Content-Type: x/y"), (411, "Content-Length: 0"), (400, "Content-Encoding: x"),
    (401, "Authorization: Basic x"), (403, "Authorization: Basic x"), (403, "Cookie: a=b"),
    (403, "User-Agent: scanner"), (403, "X-Forwarded-For: 192.0.2.1"), (405, "X-HTTP-Method-Override: POST"),
    (501, "X-HTTP-Method: DELETE"), (404, "X-Method-Override: PUT"), (404, "X-Original-URL: /x"),
    (200, "X-Original-URL: /x"), (200, "X_Rewrite_URL: /x"), (200, "X-Host: bad.test"),
    (301, "X-Forwarded-Scheme: http"), (302, "X-Forwarded-Port: 1"), (301, "Forwarded: host=bad.test"),
    (400, "X-Oversized-Header: " + "x" * 9_000), (400, "Test: " + "x" * 9_000), (431, "Test: " + "x" * 9_000),
    (400, r"X-Metachar-Header: \a"), (400, "Test: \xff"), (425, "Early-Data: 1"),
    (404, "Depth: 1"), (502, "Max-Forwards: x"), (500, "Client-IP: x"), (429, "Test: 1"), (421, "Test: 1"),
]  # fmt: skip
"""A status, and the request field with which the origin answers with it."""


def whole(body: bytes, *fields: str, status: int = 200) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines.encode(), len(body), body)


def outcome(answer) -> str:
    return answer["Cache-Status"].removeprefix("proxytwin; ")


@pytest.fixture(scope="module", name="shop")
def _shop(module_origin):
    """A caching proxy whose origin answers with the status in the path to a request with the field there."""

    def script(asked):
        status, field = ATTACKS[int(asked.target.split("/")[1])]
        name, _, value = field.partition(": ")
        if value not in (asked[name] or ""):
            return whole(b"good", FRESH)
        return whole(BAD, FRESH, "Location: /bad", status=status)

    module_origin.script = script
    route = [Route(to="web", cache=RouteCache(ttl="1m"))]
    with Proxy(route=route, service={"web": Service(upstreams=[module_origin.address])}) as proxy:
        yield proxy


@pytest.mark.parametrize(("status", "field"), ATTACKS, ids=lambda value: str(value)[:40])
def test_one_request_takes_no_object_away(shop, wire, status, field):
    client, number = wire(shop), ATTACKS.index((status, field))
    target, kept = f"/{number}/first", f"/{number}/kept"
    answer = client.ask(target, "GET", field)
    assert (answer.status, answer.body) == (status, BAD), "the origin did not meet the field"
    assert outcome(answer).startswith("fwd=uri-miss; detail=")
    plain = client.ask(target)
    assert (plain.status, plain.body) == (200, b"good")
    assert [outcome(client.ask(kept)) for _ in range(2)] == ["fwd=uri-miss; stored", "hit"]
    forced = client.ask(kept, "GET", field, "Cache-Control: no-cache")
    assert (forced.status, forced.body) == (status, BAD)
    head = client.ask(kept, "HEAD", field, "Cache-Control: no-cache")
    assert head.status == status
    plain = client.ask(kept)
    assert (outcome(plain), plain.body) == ("hit", b"good")


@pytest.mark.parametrize("status", [404, 410, 405, 414, 400, 500, 502, 503, 599, 301])
def test_an_error_that_no_field_caused_is_stored_as_ever(origin, serve, wire, status):
    """RFC 9110, 15.1; RFC 9111, 3: negative caching goes on."""
    client = wire(serve(origin(lambda _: whole(BAD, FRESH, status=status)), caching=True))
    browser = ["User-Agent: Mozilla/5.0", "Accept: */*", "Accept-Encoding: gzip", "Test-ID: 1"]
    browser += ["Cookie: a=b", 'If-None-Match: "a"'] if status not in (400, 500) else []
    assert outcome(client.ask("/", "GET", *browser)) == "fwd=uri-miss; stored"
    assert (outcome(answer := client.ask()), answer.status) == ("hit", status)


def test_what_vary_names_is_stored_for_requests_with_that_field_only(origin, serve, wire):
    def script(asked):
        bad = asked["Accept"] == "x/y"
        return whole(BAD if bad else b"good", FRESH, "Vary: Accept", status=406 if bad else 200)

    client = wire(serve(origin(script), caching=True))
    assert outcome(client.ask("/", "GET", "Accept: x/y")) == "fwd=uri-miss; stored"
    assert outcome(client.ask("/", "GET", "Accept: x/y")) == "hit"
    assert (client.ask().body, outcome(client.ask())) == (b"good", "hit")


def test_a_good_copy_outlives_an_error_that_one_validation_caused(origin, serve, wire, later):
    """RFC 9111, 4.3.3: a 412 or 416 says nothing about the stored response."""

    def script(asked):
        if asked["If-Match"] or asked["Range"]:
            return whole(BAD, FRESH, status=412 if asked["If-Match"] else 416)
        return b"HTTP/1.1 304 X\r\n\r\n" if asked["If-None-Match"] else whole(b"good", FRESH, 'ETag: "v"')

    client = wire(serve(origin(script), caching=True))
    client.ask()
    later(61)
    assert client.ask("/", "GET", 'If-Match: "x"').status == 412
    assert client.ask("/", "GET", "Range: bytes=99-").status == 416
    answer = client.ask()
    assert (outcome(answer), answer.body) == ("fwd=stale; fwd-status=304; stored", b"good")


@pytest.mark.parametrize("field", ["Authorization: Basic x", "X-Original-URL: /x"])
def test_a_304_for_one_request_neither_updates_nor_drops_the_copy_of_all(origin, serve, wire, field):
    """RFC 9111, 3.5: what is confirmed to one user is not confirmed to all."""

    def script(asked):
        if asked["If-None-Match"]:
            return b"HTTP/1.1 304 X\r\nCache-Control: max-age=1000\r\nX-Of: one\r\n\r\n"
        return whole(b"good", FRESH, 'ETag: "v"', "X-Of: all")

    client = wire(serve(origin(script), caching=True))
    client.ask()
    answer = client.ask("/", "GET", field, "Cache-Control: no-cache")
    assert (answer.status, answer.body) == (200, b"good")
    plain = client.ask()
    assert (outcome(plain), plain["X-Of"]) == ("hit", "all")


@pytest.mark.parametrize("field", ["Authorization: Basic x", "X-Original-URL: /x"])
def test_a_head_of_another_resource_changes_no_stored_field(origin, serve, wire, field):
    """RFC 9111, 4.3.5, between two resources of one length."""

    def script(asked):
        if asked.method == "HEAD":
            return b"HTTP/1.1 200 X\r\nCache-Control: max-age=1000\r\nX-Of: one\r\nContent-Length: 4\r\n\r\n"
        return whole(b"good", FRESH, "X-Of: all")

    client = wire(serve(origin(script), caching=True))
    client.ask()
    client.ask("/", "HEAD", field, "Cache-Control: no-cache")
    assert client.ask()["X-Of"] == "all"


def test_a_revalidation_behind_the_answer_asks_without_the_clients_conditions(
    origin, serve, wire, until, later
):
    def script(asked):
        if asked["If-Match"] or asked["Range"]:
            return whole(BAD, FRESH, status=412)
        return whole(b"good", "Cache-Control: max-age=60, stale-while-revalidate=600")

    server = origin(script)
    client = wire(serve(server, caching=True))
    client.ask()
    later(61)
    assert client.ask("/", "GET", 'If-Match: "x"', "Range: bytes=0-0").status == 206
    until(lambda: outcome(client.ask()) == "hit")
    assert len(server.asked) == 2
    assert client.ask().body == b"good"


def test_a_revalidation_that_one_client_spoils_is_done_again_for_the_next(origin, serve, wire, until, later):
    def script(asked):
        if asked["X-Original-URL"]:
            return whole(BAD, FRESH)
        return whole(b"good", "Cache-Control: max-age=60, stale-while-revalidate=600")

    server = origin(script)
    client = wire(serve(server, caching=True))
    client.ask()
    later(61)
    assert client.ask("/", "GET", "X-Original-URL: /x").body == b"good"
    until(lambda: len(server.asked) == 2)
    until(lambda: outcome(client.ask()) == "hit")
    assert client.ask().body == b"good"


@pytest.mark.parametrize("field", ["Accept: x/y", "X-Original-URL: /x", "Test: 1"])
def test_who_waits_for_a_poisoned_fetch_gets_a_good_answer_by_one_more_fetch(
    origin, serve, wire, until, field
):
    gate = threading.Event()
    status = {"Accept": 406, "Test": 429}.get(field.partition(":")[0], 200)

    def script(asked):
        assert gate.wait(60)
        name = field.partition(":")[0]
        return whole(BAD, FRESH, status=status) if asked[name] is not None else whole(b"good", FRESH)

    server = origin(script)
    proxy = serve(server, caching=RouteCache(coalesce=True, wait="60s"))
    request = "GET / HTTP/1.1\r\nHost: shop.test\r\n"
    leader = wire(proxy).send(f"{request}{field}\r\n\r\n")
    until(lambda: len(server.asked) == 1)
    followers = [wire(proxy).send(f"{request}\r\n") for _ in range(5)]
    until(lambda: proxy.stats()["waiting"] == 5)
    gate.set()
    assert leader.answer().body == BAD
    assert [follower.answer().body for follower in followers] == [b"good"] * 5
    assert len(server.asked) == 2, "the key does not count as unshareable, either"


def test_who_waits_for_poisoned_fetches_only_is_not_held_up_for_long(origin, serve, wire, until):
    """The second answer that was about another request alone ends the waiting."""
    gate = threading.Event()

    def script(_asked):
        assert gate.wait(60)
        return whole(BAD, FRESH, status=429)

    server = origin(script)
    proxy = serve(server, caching=RouteCache(coalesce=True, wait="60s"))
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n") for _ in range(6)]
    until(lambda: proxy.stats()["waiting"] == 5)
    gate.set()
    assert [client.answer().status for client in clients] == [429] * 6
    assert len(server.asked) == 6


def test_what_is_poisoned_reaches_the_disk_as_little(origin, serve, wire, tmp_path, inside):
    server = origin(
        lambda asked: whole(BAD, FRESH, status=412) if asked["If-Match"] else whole(b"good", FRESH)
    )
    proxy = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        cache=Cache(disk={"folder": str(tmp_path), "capacity": 2**20}),
    )
    client, flush = wire(proxy), inside(proxy)._now.snapshot.store.disk.flush
    client.ask("/bad", "GET", "If-Match: x")
    client.ask("/good")
    client.ask("/good", "GET", "If-Match: x", "Cache-Control: no-cache")
    flush()
    stored = [read_entry(path) for path in tmp_path.glob("*.answer")]
    assert [entry.plain.status for entry in stored if entry is not None] == [200]


@pytest.mark.parametrize(
    ("anonymity", "field", "stored"),
    [
        ("transparent", "X-Forwarded-Host: bad.test", False), ("elite", "X-Forwarded-Host: bad.test", True),
        ("elite", "Range: bytes=9-", False), ("transparent", "Proxy-Authorization: x", True),
    ],
)  # fmt: skip
def test_on_the_forward_side_only_fields_that_the_origin_gets_count(
    origin, serve, wire, anonymity, field, stored
):
    server = origin(lambda _: whole(BAD, FRESH, status=404))
    proxy = serve(forward=Forward(private_targets=True, cache=True, anonymity=anonymity))
    answer = wire(proxy).ask(f"http://{server.address}/", "GET", field, host=server.address)
    assert outcome(answer) == ("fwd=uri-miss; stored" if stored else "fwd=uri-miss; detail=request-fields")


@pytest.mark.parametrize(
    ("hops", "field", "stored"),
    [
        (0, "X-Forwarded-Host: bad.test", True), (0, "X-Forwarded-Proto: https", True),
        (0, "Forwarded: for=192.0.2.1;host=shop.test;proto=http", True),
        (0, "Forwarded: host=bad.test", False), (1, "Forwarded: host=bad.test", True),
        (0, "X-Forwarded-Port: 1", False), (1, "X-Forwarded-Port: 443", True),
        (1, "X-Real-IP: 192.0.2.1", True), (1, "X-Original-URL: /x", False), (1, "Range: bytes=9-", False),
    ],
)  # fmt: skip
def test_what_the_proxy_replaces_or_a_trusted_proxy_says_is_no_clients_doing(
    origin, serve, wire, hops, field, stored
):
    server = origin(lambda _: whole(BAD, FRESH, status=404))
    answer = wire(serve(server, caching=True, trusted_hops=hops)).ask("/", "GET", field)
    assert outcome(answer) == ("fwd=uri-miss; stored" if stored else "fwd=uri-miss; detail=request-fields")
