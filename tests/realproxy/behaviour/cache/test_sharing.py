"""A response that arrives in one piece is stored on the fast path, and shared with those that wait."""

import threading
import time
from collections.abc import Callable

import pytest

from realproxy import Cache, Limits, Route, RouteCache, Service

AGE = b"Cache-Control: max-age=60\r\n"
WARM = b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n"
AGED = b'HTTP/1.1 304 X\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n'
CAPACITY = 20_000


def whole(body: bytes = b"0123456789", fields: bytes = AGE) -> bytes:
    return b"HTTP/1.1 200 X\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(body), body)


class Held:
    """Answers when it is let; what is asked for `/warm` at once."""

    def __init__(self, answer: Callable[..., bytes]) -> None:
        self.answer, self.opened = answer, threading.Event()

    def __call__(self, asked) -> bytes | None:
        if asked.target == "/warm":
            return WARM
        return self.answer(asked) if self.opened.wait(20) else None


@pytest.fixture
def share(origin, serve, wire, until):
    """Let several ask for one object while it is fetched.

    Returns the answers, how often the origin was asked, how many requests workers have ended, and the proxy.
    """

    def run(answer: Callable[..., bytes], *requests: str, warmed: bool = True):
        held = Held(answer)
        server = origin(held)
        proxy = serve(
            route=[Route(to="web", cache=RouteCache(coalesce=True, wait="60s"))],
            service={"web": Service(upstreams=[server.address])},
            cache=Cache(policy="lru", capacity=CAPACITY),
            limits=Limits(drain="1s"),
        )
        if warmed:
            assert wire(proxy).ask("/warm").status == 200
        before, clients = len(server.asked), []
        for waiting, request in enumerate(requests):
            clients.append(wire(proxy).send(request))
            until(lambda now=waiting: (len(server.asked) - before, proxy.stats()["waiting"]) == (1, now))
        held.opened.set()
        answers = [
            client.answer(request.partition(" ")[0])
            for client, request in zip(clients, requests, strict=True)
        ]
        until(lambda: sum(proxy.stats()["answers"].values()) == len(requests) + warmed)
        stats = proxy.stats()
        by_workers = stats["requests"] - stats["at_once"] - stats["collapsed"] - warmed
        return answers, len(server.asked) - before, by_workers, proxy

    return run


def get(*fields: str, version: str = "1.1") -> str:
    return "\r\n".join([f"GET /page HTTP/{version}", "Host: a", *fields, "", ""])


def outcomes(answers) -> list[str]:
    return [answer["Cache-Status"].removeprefix("proxytwin; fwd=uri-miss; ") for answer in answers]


def test_a_small_miss_is_stored_without_a_worker(share):
    answers, asked, by_workers, proxy = share(lambda _: whole(), get())
    assert (answers[0].body, outcomes(answers), asked, by_workers) == (b"0123456789", ["stored"], 1, 0)
    assert proxy.stats()["cache_objects"] == 1


def test_all_who_wait_are_given_it_without_a_worker(share):
    answers, asked, by_workers, proxy = share(lambda _: whole(), get(), get(), get())
    assert [answer.body for answer in answers] == [b"0123456789"] * 3
    assert outcomes(answers) == ["stored", "collapsed", "collapsed"]
    assert (asked, by_workers) == (1, 0)
    stats = proxy.stats()
    assert (stats["hits"], stats["misses"], stats["collapsed"]) == (0, 2, 2)  # /warm is the other miss


@pytest.mark.parametrize("warmed", [True, False], ids=["event loop", "worker"])
def test_a_part_a_condition_and_an_old_client_are_answered_from_the_store(share, warmed):
    answers, asked, by_workers, _ = share(
        lambda _: whole(fields=AGE + b'ETag: "1"\r\n'),
        get(),
        get("Range: bytes=2-4"),
        get('If-None-Match: "1"'),
        get(version="1.0"),
        get(),
        warmed=warmed,
    )
    assert [(one.status, one.body) for one in answers] == [
        (200, b"0123456789"), (206, b"234"), (304, b""), (200, b"0123456789"), (200, b"0123456789"),
    ]  # fmt: skip
    assert (asked, by_workers) == (1, 3 + (not warmed))
    assert [one["Cache-Status"].endswith("; hit") for one in answers] == [False, True, True, True, False]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_methods_do_not_wait(origin, serve, wire, until, method):
    held = Held(lambda _: whole())
    server = origin(lambda asked: whole(b"")[: -0 or None] if asked.method != "GET" else held(asked))
    proxy = serve(server, caching=RouteCache(coalesce=True, wait="60s"))
    lead = wire(proxy).send(get())
    until(lambda: len(server.asked) == 1)
    assert wire(proxy).ask("/page", method).status == 200
    held.opened.set()
    assert lead.answer().body == b"0123456789"


@pytest.mark.parametrize("warmed", [True, False], ids=["event loop", "worker"])
def test_chunks_are_shared_as_chunks(share, warmed):
    chunks = (
        b"HTTP/1.1 200 X\r\n%bTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n" % AGE
    )
    answers, asked, _, proxy = share(lambda _: chunks, get(), get(), get(version="1.0"), warmed=warmed)
    assert [answer.body for answer in answers] == [b"0123456789"] * 3
    assert [answer["Transfer-Encoding"] for answer in answers] == ["chunked", "chunked", None]
    assert asked == 1
    assert proxy.stats()["cache_objects"] == 1


def test_an_old_client_that_fetches_shares_chunks_too(share):
    chunks = b"HTTP/1.1 200 X\r\n%bTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n" % AGE
    answers, asked, by_workers, _ = share(lambda _: chunks, get(version="1.0"), get())
    assert [answer.body for answer in answers] == [b"0123456789"] * 2
    assert (asked, by_workers) == (1, 0)


def test_another_variant_is_fetched_by_one_of_those_who_want_it(share):
    answers, asked, _, proxy = share(
        lambda asked: whole(asked["Foo"].encode(), AGE + b"Vary: Foo\r\n"),
        *(get(f"Foo: {foo}") for foo in "1212"),
    )
    assert [answer.body for answer in answers] == [b"1", b"2", b"1", b"2"]
    assert asked == 2
    assert proxy.stats()["collapsed"] == 2


def test_what_is_too_large_for_the_store_is_fetched_by_each(share):
    body = bytes(CAPACITY + 1)
    answers, asked, _, proxy = share(lambda _: whole(body), get(), get(), get())
    assert [answer.body for answer in answers] == [body] * 3
    assert asked == 3
    assert proxy.stats()["cache_objects"] == 0


def test_what_the_store_does_not_admit_is_shared_all_the_same(share, monkeypatch):
    monkeypatch.setattr("realproxy.cache.store.CacheStore.put", lambda *_: False)
    answers, asked, by_workers, proxy = share(lambda _: whole(), get(), get(), get("Range: bytes=2-4"))
    assert [answer.body for answer in answers] == [b"0123456789"] * 3
    assert proxy.stats()["cache_objects"] == 0
    assert (asked, by_workers) == (
        2,
        1,
    )  # the part is not in the store, and is asked for (the origin sends all)


def test_when_no_memory_is_left_a_whole_response_is_stored_all_the_same(share, monkeypatch):
    """It has arrived already, so nothing has to be reserved for it."""
    monkeypatch.setattr("realproxy.cache.store.CacheStore.reserve", lambda *_: False)
    answers, asked, by_workers, proxy = share(lambda _: whole(), get(), get())
    assert [answer.body for answer in answers] == [b"0123456789"] * 2
    assert (asked, by_workers, proxy.stats()["cache_objects"]) == (1, 0, 1)


def test_when_no_memory_is_left_chunks_are_passed_on_and_not_stored(share, monkeypatch):
    monkeypatch.setattr("realproxy.cache.store.CacheStore.reserve", lambda _, size: size < 0)
    chunks = b"HTTP/1.1 200 X\r\n%bTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n" % AGE
    answers, asked, _, proxy = share(lambda _: chunks, get(), get())
    assert [answer.body for answer in answers] == [b"0123456789"] * 2
    assert (asked, proxy.stats()["cache_objects"]) == (1, 0)


def test_a_private_response_is_for_one_alone(share):
    answers, asked, _, _ = share(lambda _: whole(fields=b"Cache-Control: private\r\n"), get(), get(), get())
    assert [answer.body for answer in answers] == [b"0123456789"] * 3
    assert asked == 3


def test_a_confirmed_response_is_for_all(origin, serve, wire, until):
    def answer(asked) -> bytes:
        confirms = asked["if-none-match"] is not None
        return AGED if confirms else whole(fields=b'ETag: "1"\r\n')

    held = Held(answer)
    server = origin(held)
    proxy = serve(server, caching=RouteCache(ttl="30ms", coalesce=True, wait="60s"))
    held.opened.set()
    assert wire(proxy).ask("/page", host="a").status == 200
    held.opened.clear()
    time.sleep(0.04)
    clients = []
    for waiting in range(3):
        clients.append(wire(proxy).send(get()))
        until(lambda now=waiting: (len(server.asked), proxy.stats()["waiting"]) == (2, now))
    held.opened.set()
    answers = [client.answer() for client in clients]
    assert [one.body for one in answers] == [b"0123456789"] * 3
    assert [one["Cache-Status"].removeprefix("proxytwin; ") for one in answers] == [
        "fwd=stale; fwd-status=304; stored", "hit", "hit",
    ]  # fmt: skip
    assert len(server.asked) == 2
