"""What is stored is asked about, confirmed, updated, used stale, and answers conditions and ranges."""

import threading
import time
from email.utils import formatdate

import pytest

TAG = 'ETag: "v1"'
OLD = "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT"


def whole(*fields: str, body: bytes = b"0123456789", status: int = 200) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines.encode(), len(body), body)


def bare(status: int, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return b"HTTP/1.1 %d X\r\n%b\r\n" % (status, lines.encode())


def outcome(answer) -> str:
    return answer["Cache-Status"].removeprefix("proxytwin; ")


@pytest.fixture(name="pair")
def _pair(origin, serve, wire):
    """An origin that gives the answers of a list, one after the other, and a client of a caching proxy."""

    def start(*answers: bytes | None, caching=True):
        left = list(answers)
        server = origin(lambda _: left.pop(0))
        return server, wire(serve(server, caching=caching))

    return start


# --- validation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validator", "condition"),
    [(TAG, ("If-None-Match", '"v1"')), (OLD, ("If-Modified-Since", OLD.partition(": ")[2]))],
)
def test_a_stale_answer_is_confirmed_and_updated(pair, validator, condition):
    """RFC 9111, 4.3.1, 4.3.4 and 3.2."""
    server, client = pair(
        whole("Cache-Control: max-age=0", validator, "X-Kept: 1", "X-New: old", "Content-Encoding: a"),
        bare(304, "Cache-Control: max-age=60", "X-New: new", "Content-Encoding: b", "Content-Length: 3"),
    )
    assert outcome(client.ask()) == "fwd=uri-miss; stored"
    for expected in ("fwd=stale; fwd-status=304; stored", "hit"):
        answer = client.ask()
        assert (outcome(answer), answer.status, answer.body) == (expected, 200, b"0123456789")
        assert (answer["X-Kept"], answer.all("X-New"), answer["Content-Encoding"]) == ("1", ["new"], "a")
        assert answer.all("Content-Length") == ["10"]
        assert len(answer.all("Via")) == len(answer.all("Date")) == 1
    assert server.asked[1][condition[0]] == condition[1]


def test_no_cache_is_asked_about_each_time(pair):
    _server, client = pair(whole("Cache-Control: no-cache, max-age=9", TAG), bare(304), bare(304))
    assert [outcome(client.ask()) for _ in range(3)] == [
        "fwd=uri-miss; stored", "fwd=stale; fwd-status=304; stored", "fwd=stale; fwd-status=304; stored",
    ]  # fmt: skip


def test_a_new_answer_takes_the_place_of_the_stale_one(pair):
    _, client = pair(
        whole("Cache-Control: max-age=0", TAG),
        whole("Cache-Control: max-age=60", 'ETag: "v2"', body=b"new"),
    )
    assert [client.ask().body for _ in range(3)] == [b"0123456789", b"new", b"new"]


def test_a_new_answer_that_must_not_be_stored_ends_the_old_one(pair):
    server, client = pair(
        whole("Cache-Control: max-age=0", TAG), whole("Cache-Control: no-store"), whole("X: 1")
    )
    for _ in range(3):
        client.ask()
    assert server.asked[2]["If-None-Match"] is None


def test_the_clients_condition_is_answered_after_ours(pair):
    server, client = pair(whole("Cache-Control: max-age=0", TAG), bare(304), bare(304))
    client.ask()
    answer = client.ask("/", "GET", 'If-None-Match: "other"')
    assert (answer.status, answer.body, server.asked[1].all("If-None-Match")) == (
        200,
        b"0123456789",
        ['"v1"'],
    )
    assert client.ask("/", "GET", 'If-None-Match: "v1"').status == 304


def test_a_condition_about_what_is_not_stored_goes_through(pair):
    server, client = pair(bare(304, TAG), whole("Cache-Control: max-age=9"))
    answer = client.ask("/", "GET", 'If-None-Match: "v1"')
    assert (answer.status, server.asked[0]["If-None-Match"]) == (304, '"v1"')
    assert outcome(client.ask()) == "fwd=uri-miss; stored"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('If-None-Match: W/"v1", "x"', 304), ("If-None-Match: *", 304), ('If-None-Match: "v2"', 200),
        (OLD.replace("Last-Modified", "If-Modified-Since"), 304),
        ("If-Modified-Since: Tue, 31 Dec 2019 23:59:59 GMT", 200),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_fresh_answer_answers_conditions(pair, condition, status, method):
    _server, client = pair(whole("Cache-Control: max-age=60", TAG, OLD, "Content-Type: text/plain"))
    client.ask()
    answer = client.ask("/", method, condition)
    assert (answer.status, outcome(answer), answer["ETag"]) == (status, "hit", '"v1"')
    assert answer["Content-Type"] == (None if status == 304 else "text/plain")
    assert 0 <= int(answer["Age"]) < 30
    assert client.ask().body == b"0123456789", "the connection goes on"


def test_an_answer_to_head_updates_or_ends_what_is_stored(pair):
    """RFC 9111, 4.3.5."""
    _server, client = pair(
        whole("Cache-Control: max-age=0", TAG),
        bare(200, "Cache-Control: max-age=60", TAG, "X-New: 1", "Content-Length: 10"),
        bare(200, 'ETag: "v2"', "Content-Length: 9"),
        whole("X: 1"),
    )
    client.ask()
    client.ask("/", "HEAD")
    answer = client.ask()
    assert (outcome(answer), answer["X-New"], answer.body) == ("hit", "1", b"0123456789")
    client.ask("/", "HEAD", "Cache-Control: no-cache")
    assert outcome(client.ask()) == "fwd=uri-miss; detail=no-freshness"


# --- stale --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [None, whole(status=503), b"garbage\r\n\r\n"])
def test_a_stale_answer_stands_in_for_an_origin_that_fails(pair, failure):
    _, client = pair(whole("Cache-Control: max-age=1", "Age: 1", TAG), failure, failure)
    client.ask()
    answer = client.ask()
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert "detail=stale-if-error" in outcome(answer)


@pytest.mark.parametrize(
    "directive", ["must-revalidate", "proxy-revalidate", "s-maxage=0", "no-cache", "stale-if-error=0"]
)
def test_but_not_if_the_origin_forbids_it(pair, directive):
    _, client = pair(whole(f"Cache-Control: max-age=0, {directive}", TAG), None, None)
    client.ask()
    assert client.ask().status == 502


def test_nor_if_the_client_forbids_it_nor_forever(pair, serve, origin, wire):
    from realproxy import RouteCache

    _, client = pair(whole("Cache-Control: max-age=60", TAG), None, None)
    client.ask()
    assert client.ask("/", "GET", "Cache-Control: no-cache").status == 502
    _, client = pair(whole("Cache-Control: max-age=0", TAG), None, None, caching=RouteCache(stale="0s"))
    client.ask()
    assert client.ask().status == 502


def test_a_request_may_take_a_stale_answer(pair):
    _server, client = pair(whole("Cache-Control: max-age=5", "Age: 8", TAG))
    client.ask()
    answer = client.ask("/", "GET", "Cache-Control: max-stale=60")
    assert outcome(answer) == "hit; detail=stale"
    assert 8 <= int(answer["Age"]) < 38


def test_a_stale_answer_is_sent_at_once_and_revalidated_once_behind_it(origin, serve, wire, until):
    """RFC 5861, 3: many requests, one revalidation, and no request waits for it."""
    held, asked = threading.Event(), []

    def script(request):
        asked.append(request)
        if len(asked) == 1:
            return whole("Cache-Control: max-age=1, stale-while-revalidate=60", "Age: 5", TAG)
        assert held.wait(30)
        return whole("Cache-Control: max-age=60", body=b"new")

    client = wire(serve(origin(script), caching=True))
    client.ask()
    for _ in range(5):
        answer = client.ask("/", "GET", "Range: bytes=0-3")
        assert (outcome(answer), answer.body) == ("hit; detail=behind", b"0123")
    held.set()
    until(lambda: client.ask().body == b"new")
    assert len(asked) == 2
    assert (asked[1]["If-None-Match"], asked[1]["Range"]) == ('"v1"', None)


def test_outside_the_window_the_client_waits(pair):
    fields = "Cache-Control: max-age=1, stale-while-revalidate=4"
    _, client = pair(whole(fields, "Age: 5", TAG), whole("Cache-Control: max-age=60", body=b"new"))
    client.ask()
    assert client.ask().body == b"new"


def test_stopping_does_not_wait_for_a_revalidation(origin, wire, until):
    from realproxy import Proxy, Route, Service

    held, asked = threading.Event(), []

    def script(request):
        asked.append(request)
        if len(asked) > 1:
            held.wait(30)
        return whole("Cache-Control: max-age=1, stale-while-revalidate=60", "Age: 5", TAG)

    service = {"web": Service(upstreams=[origin(script).address])}
    with Proxy(route=[Route(to="web", cache=True)], service=service) as proxy:
        client = wire(proxy)
        client.ask()
        client.ask()
        until(lambda: len(asked) == 2)
        client.close()
        before = time.monotonic()
    assert time.monotonic() - before < 20
    held.set()


# --- ranges -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "body", "place"),
    [
        (["Range: bytes=2-4"], 206, b"234", "bytes 2-4/10"),
        (["Range: bytes=7-"], 206, b"789", "bytes 7-9/10"),
        (["Range: bytes=-2"], 206, b"89", "bytes 8-9/10"),
        (["Range: bytes=10-"], 416, b"", "bytes */10"),
        (["Range: bytes=0-1,4-5"], 200, b"0123456789", None),
        (["Range: bytes=2-4", 'If-Range: "v1"'], 206, b"234", "bytes 2-4/10"),
        (["Range: bytes=2-4", 'If-Range: "v2"'], 200, b"0123456789", None),
        (["Range: bytes=2-4", 'If-None-Match: "v1"'], 304, b"", None),
    ],
)
def test_a_part_is_cut_from_a_stored_whole(pair, fields, status, body, place):
    """RFC 9110, 14.2, 15.3.7 and 15.5.17."""
    _, client = pair(whole("Cache-Control: max-age=60", TAG, "X-Kept: 1"))
    client.ask()
    answer = client.ask("/", "GET", *fields)
    assert (answer.status, answer.body, answer["Content-Range"]) == (status, body, place)
    assert status in (304, 416) or (answer["X-Kept"], answer["Content-Length"]) == ("1", str(len(body)))
    assert client.ask("/", "HEAD", "Range: bytes=2-4").status == 200


def test_a_part_is_never_stored_as_a_whole(pair):
    part = whole("Cache-Control: max-age=60", "Content-Range: bytes 0-2/10", body=b"012", status=206)
    _, client = pair(part, whole("Cache-Control: max-age=60"))
    assert outcome(client.ask("/", "GET", "Range: bytes=0-2")) == "fwd=uri-miss; detail=no-strong-etag"
    assert client.ask().body == b"0123456789"


# --- what is stored -----------------------------------------------------------------------------------


def test_interim_answers_go_through_and_are_not_stored(pair):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    _, client = pair(early + whole("Cache-Control: max-age=60"))
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    interim, final = client.head(), client.answer()
    assert (interim.status, interim["Link"], interim["Date"]) == (103, "</a.css>; rel=preload", None)
    again = client.ask()
    assert (final["Link"], outcome(again), again["Link"]) == (None, "hit", None)


def test_fields_for_one_hop_and_those_held_back_are_not_stored(pair):
    _, client = pair(
        whole(
            'Cache-Control: max-age=60, no-cache="A"', "A: 1", "B: 2", "Connection: c", "C: 3",
            "Proxy-Authenticate: Basic", "Keep-Alive: x",
        )
    )  # fmt: skip
    first, again = client.ask(), client.ask()
    assert (first["A"], first["C"], outcome(again)) == ("1", None, "hit")
    assert [again[name] for name in ("A", "B", "C", "Proxy-Authenticate", "Keep-Alive")] == [
        None, "2", None, None, None,
    ]  # fmt: skip


def test_no_content_is_stored_without_a_length(pair):
    _, client = pair(bare(204, "Cache-Control: max-age=60"))
    client.ask()
    answer = client.ask()
    assert (answer.status, outcome(answer), answer["Content-Length"]) == (204, "hit", None)


def test_cdn_cache_control_is_for_the_reverse_side(pair):
    _, client = pair(whole("CDN-Cache-Control: max-age=60", "Cache-Control: no-store"))
    assert [outcome(client.ask()) for _ in range(2)] == ["fwd=uri-miss; stored", "hit"]


def test_an_answer_to_post_is_stored_if_it_says_to_be_that_of_get(pair):
    """RFC 9110, 9.3.3."""
    fields = ("Content-Location: /a", "Expires: " + formatdate(time.time() + 60, usegmt=True))
    _, client = pair(whole(*fields), whole("X: 1"))
    client.send("POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi")
    assert outcome(client.answer()) == "fwd=method; stored"
    assert outcome(client.ask("/a")) == "hit"


def test_an_unsafe_method_ends_what_it_names(pair):
    """RFC 9111, 4.4."""
    fresh = whole("Cache-Control: max-age=60")
    _, client = pair(
        *[fresh] * 3,
        whole("Location: /a/made", "Content-Location: http://evil.test/other", status=201),
        fresh,
    )
    for target in ("/a/made", "/other", "/a/"):
        client.ask(target)
    client.ask("/a/", "DELETE")
    assert outcome(client.ask("/other")) == "hit"
    assert outcome(client.ask("/a/made")) == "fwd=uri-miss; stored"


def test_what_was_asked_for_before_a_change_is_not_stored_after_it(origin, serve, wire):
    """A slow answer to GET must not bring back what a POST has replaced meanwhile."""
    asked, changed = threading.Event(), threading.Event()

    def script(request):
        if request.method == "POST":
            return whole("X: 1")
        if not changed.is_set():
            asked.set()
            assert changed.wait(30)
            return whole("Cache-Control: max-age=60", body=b"old")
        return whole("Cache-Control: max-age=60", body=b"new")

    proxy = serve(origin(script), caching=True)
    slow, quick = wire(proxy), wire(proxy)
    slow.send("GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    assert asked.wait(30)
    quick.send("POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n").answer()
    changed.set()
    answer = slow.answer()
    assert (answer.body, outcome(answer)[:14]) == (b"old", "fwd=uri-miss; ")
    assert quick.ask("/a").body == b"new"
