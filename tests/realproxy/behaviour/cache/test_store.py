"""The cache: what is stored, what is answered from it, and that both twins would agree."""

import random
import threading

import pytest

from policies.eviction import charged_size, eviction_policies
from policies.http_cache.index import ObjectCache
from realproxy import Cache, Match, Route, RouteCache, Service

HIT = "proxytwin; hit"
STORED = "proxytwin; fwd=uri-miss; stored"


def fresh(body: bytes = b"hello", *fields: str, status: int = 200) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields or ("Cache-Control: max-age=60",))
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines.encode(), len(body), body)


def outcomes(client, *targets: str, method: str = "GET", fields: tuple[str, ...] = ()) -> list[str]:
    return [
        client.ask(target, method, *fields)["Cache-Status"].removeprefix("proxytwin; ") for target in targets
    ]


def test_a_fresh_answer_is_stored_and_told_with_its_age(origin, serve, wire):
    server = origin(lambda _: fresh(b"hello", "Cache-Control: max-age=60", "Age: 7", "X-Kept: 1"))
    proxy = serve(server, caching=True)
    client = wire(proxy)
    first, second = client.ask(), client.ask()
    assert (first["Cache-Status"], second["Cache-Status"]) == (STORED, HIT)
    assert (second.body, second["X-Kept"], second["Content-Length"]) == (b"hello", "1", "5")
    assert 7 <= int(second["Age"]) < 37
    assert len(second.all("Age")) == 1
    stats = proxy.stats()
    assert (stats["hits"], stats["misses"], stats["cache_objects"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ("Cache-Control: no-store", "no-store"),
        ("Cache-Control: private", "private"),
        ("Cache-Control: no-cache", "no-cache"),
        ("Cache-Control: max-age=0", "stale"),
        ("Cache-Control: max-age=60, s-maxage=0", "stale"),
        ("Cache-Control: max-age=60\r\nAge: 60", "stale"),
        ("Cache-Control: max-age=60\r\nVary: Accept, *", "vary"),
        ("Set-Cookie: a=1", "set-cookie"),
        ("X: 1", "no-freshness"),
    ],
)
def test_what_must_not_be_stored_is_not_and_says_why(origin, serve, wire, fields, detail):
    server = origin(lambda _: fresh(b"hello", *fields.split("\r\n")))
    client = wire(serve(server, caching=True))
    assert outcomes(client, "/", "/") == [f"fwd=uri-miss; detail={detail}"] * 2
    assert len(server.asked) == 2


def test_the_ttl_of_a_route_is_for_answers_that_name_none(origin, serve, wire):
    server = origin(lambda asked: fresh(b"x", "Set-Cookie: a=1" if asked.target == "/cookie" else "X: 1"))
    client = wire(serve(server, caching=RouteCache(ttl="1m")))
    assert outcomes(client, "/", "/", "/cookie") == [
        "fwd=uri-miss; stored",
        "hit",
        "fwd=uri-miss; detail=set-cookie",
    ]


def test_an_answer_goes_stale(later, origin, serve, wire):
    server = origin(lambda _: fresh(b"x", "X: 1"))
    client = wire(serve(server, caching=RouteCache(ttl="20s")))
    assert outcomes(client, "/", "/") == ["fwd=uri-miss; stored", "hit"]
    later(20.1)
    assert outcomes(client, "/", "/") == ["fwd=stale; stored", "hit"]


def test_a_request_may_insist(origin, serve, wire):
    server = origin(lambda _: fresh())
    client = wire(serve(server, caching=True))
    ask = lambda directive: outcomes(client, "/", fields=(f"Cache-Control: {directive}",))[0]  # noqa: E731
    assert client.ask("/", "GET", "Cache-Control: only-if-cached").status == 504
    assert ask("no-store") == "fwd=uri-miss; detail=request-no-store"
    assert ask("max-age=5") == "fwd=uri-miss; stored"
    assert ask("no-store") == "hit"
    assert ask("only-if-cached") == "hit"
    assert ask("no-cache") == "fwd=request; stored"
    assert ask("max-age=0") == "fwd=request; stored"
    assert ask("min-fresh=61") == "fwd=request; stored"
    assert outcomes(client, "/", fields=("Pragma: no-cache",)) == ["fwd=request; stored"]


def test_authorized_answers_stay_private_unless_the_origin_says_otherwise(origin, serve, wire):
    server = origin(
        lambda asked: fresh(b"x", "Cache-Control: max-age=9" + (", public" if asked.target == "/p" else ""))
    )
    client = wire(serve(server, caching=True))
    secret = ("Authorization: Basic eA==",)
    assert outcomes(client, "/", "/p", fields=secret) == [
        "fwd=uri-miss; detail=authorization", "fwd=uri-miss; stored",
    ]  # fmt: skip


def test_head_is_answered_from_a_stored_get_but_not_stored(origin, serve, wire):
    head = b"HTTP/1.1 200 X\r\nCache-Control: max-age=9\r\nContent-Length: 5\r\n\r\n"
    server = origin(lambda asked: head + (b"hello" if asked.method == "GET" else b""))
    client = wire(serve(server, caching=True))
    assert outcomes(client, "/", "/", method="HEAD") == ["fwd=uri-miss; detail=method"] * 2
    client.ask()
    answer = client.ask("/", "HEAD")
    assert (answer["Cache-Status"], answer["Content-Length"]) == (HIT, "5")
    assert client.ask().body == b"hello"


@pytest.mark.parametrize(("status", "after"), [(200, "fwd=uri-miss; stored"), (500, "hit")])
def test_an_unsafe_method_that_succeeds_makes_its_uri_invalid(origin, serve, wire, status, after):
    server = origin(lambda asked: fresh(status=status if asked.method == "POST" else 200))
    client = wire(serve(server, caching=True))
    outcomes(client, "/a", "/b")
    [posted] = outcomes(client, "/a", method="POST", fields=("Content-Length: 0",))
    assert posted == "fwd=method; detail=method"
    assert outcomes(client, "/a", "/b") == [after, "hit"]


def test_keys_tell_hosts_queries_and_services_apart(origin, serve, wire):
    one, other = origin(lambda _: fresh(b"one")), origin(lambda _: fresh(b"other"))
    client = wire(
        serve(
            route=[
                Route(when=Match(header={"X-Beta": "1"}), to="other", cache=True),
                Route(to="one", cache=True),
            ],
            service={"one": Service(upstreams=[one.address]), "other": Service(upstreams=[other.address])},
        )
    )
    assert outcomes(client, "/", "/?", "/?a", "/") == ["fwd=uri-miss; stored"] * 3 + ["hit"]
    assert client.ask("/", host="b.test")["Cache-Status"] == STORED
    assert client.ask("/", host="SHOP.test:80")["Cache-Status"] == HIT
    assert client.ask("/", "GET", "X-Beta: 1").body == b"other"
    assert client.ask("/").body == b"one"


def test_errors_on_a_caching_route_carry_cache_status_too(serve, wire):
    proxy = serve(route=[Route(to="gone", cache=True)], service={"gone": Service(upstreams=["127.0.0.1:1"])})
    answer = wire(proxy).ask()
    assert (answer.status, answer["Cache-Status"]) == (502, "proxytwin; fwd=uri-miss")


def test_routes_without_cache_say_nothing_about_it(origin, serve, wire):
    assert wire(serve(origin(lambda _: fresh()))).ask()["Cache-Status"] is None


def test_a_chunked_answer_is_stored_whole(origin, serve, wire):
    server = origin(
        lambda _: (
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"4\r\nsome\r\n5\r\n text\r\n0\r\n\r\n"
        )
    )
    client = wire(serve(server, caching=True))
    assert [client.ask().body for _ in range(2)] == [b"some text"] * 2
    assert client.ask()["Content-Length"] == "9"
    assert len(server.asked) == 1


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_larger_than_the_cache_is_passed_on_and_not_stored(origin, serve, wire, chunked):
    body = bytes(300_000)
    head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\n"
    coded = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    server = origin(lambda _: head + (coded if chunked else b"Content-Length: 300000\r\n\r\n" + body))
    proxy = serve(server, caching=True)
    assert proxy.settings.cache.capacity > len(body)
    small = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        cache=Cache(capacity="100KiB"),
    )
    for running, objects in ((proxy, 1), (small, 0)):
        assert wire(running).ask().body == body
        assert running.stats()["cache_objects"] == objects


def test_who_asks_again_at_once_finds_it_stored(origin, serve, wire):
    """An answer is stored before its last byte is sent: one client alone sees no race."""
    client = wire(serve(origin(lambda _: fresh(bytes(100_000))), caching=True))
    for number in range(50):
        assert outcomes(client, f"/{number}", f"/{number}") == ["fwd=uri-miss; stored", "hit"]


@pytest.mark.parametrize("policy", eviction_policies.names())
def test_hits_and_misses_are_those_of_the_policy_request_by_request(origin, serve, wire, policy):
    rng = random.Random(5)
    sizes = {key: rng.randint(1, 6_000) for key in range(60)}
    requests = [int(rng.paretovariate(0.7)) % 60 for _ in range(600)]
    capacity = 40_000
    server = origin(lambda asked: fresh(bytes(sizes[int(asked.target[1:])]), "Cache-Control: max-age=3600"))
    proxy = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        cache=Cache(policy=policy, capacity=capacity),
        seed=3,
    )
    client = wire(proxy)
    seen = [client.ask(f"/{key}")["Cache-Status"] == HIT for key in requests]

    alone: ObjectCache[bool] = ObjectCache(eviction_policies[policy](capacity, rng=random.Random("3/cache")))
    expected = []
    for key in requests:
        expected.append(alone.lookup(key, 0.0) is not None)
        if not expected[-1]:
            alone.store(key, True, charged_size(sizes[key]), 3600.0, 0.0)
    assert seen == expected
    assert 0 < sum(seen) < len(seen)
    assert proxy.stats()["hits"] == sum(expected)
    assert proxy.stats()["cache_bytes"] == alone.eviction.used


def test_many_clients_at_once_get_whole_and_right_answers(origin, serve, wire):
    def body(number: int) -> bytes:
        return b"%d," % number * (number * 37 % 5_000 + 1)

    server = origin(lambda asked: fresh(body(int(asked.target[1:]))))
    proxy = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        cache=Cache(policy="lru", capacity="200KiB"),
    )
    wrong = []

    def ask(seed: int) -> None:
        rng, client = random.Random(seed), wire(proxy)
        for _ in range(150):
            number = rng.randrange(40)
            if client.ask(f"/{number}").body != body(number):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = proxy.stats()
    assert wrong == []
    assert stats["hits"] + stats["misses"] == stats["requests"] == 8 * 150
    assert stats["misses"] == stats["upstreams"]["web"][0]["requests"] == len(server.asked)
    assert stats["cache_bytes"] <= 200 * 1024
