"""Each decision is explained: on the wire, in the log, and for an answer in a file."""

import json

import http_sf
import pytest

from policies.bad_input import BadInput
from policies.http_cache.explain import RULES
from policies.http_cache.freshness import NotStored
from policies.settings import parse_settings
from realproxy import Cache, Log, Route, Service
from realproxy.cache.cache_status import describe
from realproxy.control.explain import explain, explain_stored

SETTINGS = parse_settings(
    {
        "route": [{"to": "web", "cache": {"stale": "10m"}, "when": {"path": "/a*"}}, {"to": "web"}],
        "service": {"web": {"upstreams": "127.0.0.1:1"}},
        "forward": {"cache": True},
    }
)


def told(answer: str, url: str = "/a", method: str = "GET", after: float = 0.0, **fields: str) -> list[str]:
    headers = {"Host": "shop.test", **{name.replace("_", "-"): value for name, value in fields.items()}}
    taken = explain(SETTINGS, method, url, headers)
    return explain_stored(SETTINGS, taken, answer.encode(), after, "answer.txt")


@pytest.mark.parametrize(
    ("fields", "after", "expected"),
    [
        ("Cache-Control: max-age=60", 10, ["stored: yes (RFC 9111, 3)",
         "fresh: 60 s, by max-age in Cache-Control (RFC 9111, 5.2.2.1)",
         "age: 0 s when it came (RFC 9111, 4.2.3)",
         "after 10 s: answered with it: it is fresh (RFC 9111, 4.2)"]),
        ("Cache-Control: max-age=60, s-maxage=5\nETag: \"1\"\nAge: 3", 10, ["stored: yes (RFC 9111, 3)",
         "fresh: 5 s, by s-maxage in Cache-Control (RFC 9111, 5.2.2.10)",
         "age: 3 s when it came (RFC 9111, 4.2.3)",
         "after 10 s: validated by If-None-Match (RFC 9111, 4.3.1), for it is stale by 8 s (RFC 9111, 4.2); "
         "if the origin fails, answered with the failure (RFC 9111, 4.2.4; RFC 5861, 4)"]),
        ("CDN-Cache-Control: max-age=7\nCache-Control: no-store\nVary: Foo\nCache-Groups: \"x\"", 8, [
         "stored: yes (RFC 9111, 3)",
         "fresh: 7 s, by max-age in CDN-Cache-Control (RFC 9213) (RFC 9111, 5.2.2.1)",
         "age: 0 s when it came (RFC 9111, 4.2.3)", "selected: by requests with foo: (none) (RFC 9111, 4.1)",
         "groups: x (RFC 9875)",
         "after 8 s: fetched anew, for it is stale by 1 s (RFC 9111, 4.2); "
         "if the origin fails, answered with it (RFC 9111, 4.2.4; RFC 5861, 4)"]),
        ("Cache-Control: private", 0,
         ["stored: no, private: the answer says private, and this is a shared cache (RFC 9111, 5.2.2.7)"]),
        ("X: 1", 0, ["stored: no, no-freshness: nothing says how long it is fresh, and there is no validator "
                     "(RFC 9111, 4.2)"]),
    ],
)  # fmt: skip
def test_an_answer_in_a_file_is_explained_with_the_sections_of_the_rfc(fields, after, expected):
    lines = told(f"HTTP/1.1 200 OK\nContent-Length: 4\n{fields}\n\nbody", after=after)
    assert lines == ["key: web http://shop.test/a", *expected]


PART = "HTTP/1.1 206 X\nCache-Control: max-age=60\nContent-Length: 3\n"
HELD = "stored: yes, bytes 2 to 4 of 10, for ranges within them (RFC 9111, 3.3)"


@pytest.mark.parametrize(
    ("fields", "after", "stored", "later"),
    [
        ('ETag: "1"\nContent-Range: bytes 2-4/10', 10, HELD,
         "after 10 s: answered with it: it is fresh (RFC 9111, 4.2)"),
        ('ETag: "1"\nContent-Range: bytes 2-4/10', 90, HELD,
         "after 90 s: fetched anew: a part is not validated (RFC 9111, 4.3)"),
        ('ETag: "1"\nContent-Range: bytes 0-2/3', 10, "stored: yes (RFC 9111, 3)",
         "after 10 s: answered with it: it is fresh (RFC 9111, 4.2)"),
    ],
)  # fmt: skip
def test_a_part_in_a_file_is_explained(fields, after, stored, later):
    lines = told(f"{PART}{fields}\n\nabc", after=after, Range="bytes=2-4")
    assert (lines[1], lines[-1]) == (stored, later)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ('ETag: W/"1"\nContent-Range: bytes 2-4/10', NotStored.NO_STRONG_ETAG),
        ('ETag: "1"\nContent-Range: bytes 2-5/10', NotStored.CONTENT_RANGE),
    ],
)
def test_why_a_part_is_not_stored_is_explained(fields, reason):
    assert told(f"{PART}{fields}\n\nabc", Range="bytes=2-4")[1:] == [f"stored: no, {reason}: {RULES[reason]}"]


def test_what_curl_says_of_another_version_is_understood_and_nonsense_is_told():
    assert told("HTTP/2 200 \r\ncache-control: max-age=1\r\n\r\n")[1] == "stored: yes (RFC 9111, 3)"
    with pytest.raises(BadInput, match=r"^answer.txt: answer: expected a status line and fields"):
        told("hello")


FRESH = "HTTP/1.1 200 OK\nCache-Control: max-age=60\nContent-Length: 4\n"


@pytest.mark.parametrize(
    ("control", "after", "expected"),
    [
        ("min-fresh=50", 20,
         "validated by If-None-Match (RFC 9111, 4.3.1), for the request wants it fresh for another 50 s, "
         "and it is for 40 s (RFC 9111, 5.2.1.3); if the origin fails, answered with the failure"),
        ("max-age=10", 20,
         "validated by If-None-Match (RFC 9111, 4.3.1), for the request takes no answer older than 10 s "
         "(RFC 9111, 5.2.1.1); if the origin fails, answered with the failure"),
        ("max-stale=30", 80, "answered with it: the request takes a stale one (RFC 9111, 5.2.1.2)"),
        ("only-if-cached", 80,
         "answered with 504, for it is stale by 20 s (RFC 9111, 4.2), and it wants a stored answer only "
         "(RFC 9111, 5.2.1.7)"),
    ],
)  # fmt: skip
def test_what_the_request_says_is_named(control, after, expected):
    lines = told(f'{FRESH}ETag: "v"\n\n', after=after, Cache_Control=control)
    assert lines[-1].startswith(f"after {after} s: {expected}")


def test_what_a_cache_drops_is_not_sent_later():
    lines = told(FRESH + "\n", after=1_000_000)
    assert lines[-1].startswith("after 1000000 s: fetched anew, for it is useless by then, and dropped; ")
    assert lines[-1].endswith("if the origin fails, answered with the failure (RFC 9111, 4.2.4; RFC 5861, 4)")


def test_a_stored_failure_stands_in_for_no_other_one():
    lines = told(FRESH.replace("200 OK", "500 X") + "\n", after=70)
    assert "if the origin fails, answered with the failure" in lines[-1]


@pytest.mark.parametrize(
    ("status", "fields", "asked", "why"),
    [
        (429, "", {}, "status: a shared cache does not store 429 (RFC 6585, 4)"),
        (206, "Content-Range: bytes 0-3/9\n", {}, "status: nobody asked for a part (RFC 9110, 15.3.7)"),
        (599, "Cache-Control: must-understand\n", {},
         "status: must-understand, and this cache does not know 599 (RFC 9111, 5.2.2.3)"),
        (416, "", {"Range": "bytes=9-"},
         "request-fields: range of this request may have caused it, and Vary does not name that "
         "(RFC 9110, 12.5.5; 416: RFC 9110, 15.5.17)"),
        (401, "", {},
         "request-fields: authorization of other requests may have prevented it, and Vary does not name that "
         "(RFC 9110, 12.5.5; 401: RFC 9110, 15.5.2)"),
        (200, "", {"X-Original-URL": "/b"},
         "request-fields: x-original-url of this request may have caused it, and Vary does not name that "
         "(RFC 9110, 12.5.5; 200: RFC 9110, 15.3.1)"),
        (200, "Content-Length: 999999999999\n", {},
         "too-large: the cache has room for 64MiB (cache.capacity less cache.overhead)"),
    ],
)  # fmt: skip
def test_why_it_is_not_stored_is_told_exactly(status, fields, asked, why):
    answer = f"HTTP/1.1 {status} X\nCache-Control: max-age=60\n{fields}\n"
    assert told(answer, **asked)[1:] == [f"stored: no, {why}"]


def test_without_explicit_freshness_only_some_statuses_are_stored():
    assert told("HTTP/1.1 500 X\n\n")[1] == (
        "stored: no, status: without explicit freshness, 500 is not stored (RFC 9111, 3; RFC 9110, 15.1)"
    )


def test_fields_that_are_held_back_are_named():
    lines = told('HTTP/1.1 200 OK\nCache-Control: max-age=60, private="Set-Cookie, X"\nContent-Length: 0\n\n')
    assert "without: set-cookie, x (RFC 9111, 5.2.2.4 and 5.2.2.7)" in lines


def test_seconds_are_never_written_as_powers_of_ten():
    lines = told("HTTP/1.1 200 OK\nCache-Control: max-age=31536000\nContent-Length: 0\n\n", after=2_000_000.5)
    assert lines[2].startswith("fresh: 31536000 s, ")
    assert lines[-1].startswith("after 2000000.5 s: answered with it")


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ("Expires: 0\nETag: x", "0 s, by Expires, which is no date and so is in the past (RFC 9111, 5.3)"),
        (
            "Last-Modified: yesterday",
            "0 s, because the answer names none: it is stored to be validated (RFC 9111, 4.3)",
        ),
    ],
)
def test_a_source_that_is_no_date_is_called_so(fields, source):
    assert told(f"HTTP/1.1 200 OK\n{fields}\nContent-Length: 0\n\n")[2] == f"fresh: {source}"


def test_an_answer_to_post_that_answers_a_get_is_told_to_be_stored():
    """RFC 9110, 9.3.3."""
    answer = FRESH + "Content-Location: http://shop.test/a\n\n"
    lines = told(answer, method="POST", Content_Length="0")
    assert lines[1:3] == ["invalidates: http://shop.test/a (RFC 9111, 4.4)", "stored: yes (RFC 9111, 3)"]
    assert lines[-1] == "after 0 s: a GET is answered with it: it is fresh (RFC 9111, 4.2)"


DATED = (
    "HTTP/1.1 200 OK\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nCache-Control: max-age=60\nContent-Length: 0\n\n"
)
CAME = 784_111_777.0


@pytest.mark.parametrize(
    ("received", "age"),
    [("date", "0 s when it came"), (CAME, "0 s when it came"), (CAME + 45, "45 s when it came, by its Date")],
)
def test_an_answer_is_as_old_as_its_date_when_it_came(received, age):
    taken = explain(SETTINGS, "GET", "/a", {"Host": "shop.test"})
    lines = explain_stored(SETTINGS, taken, DATED.encode(), 20.0, "answer.txt", received)
    assert lines[3] == f"age: {age} (RFC 9111, 4.2.3)"
    fresh = received != CAME + 45
    assert lines[-1].startswith("after 20 s: answered with it" if fresh else "after 20 s: fetched anew")


def test_an_old_answer_that_comes_now_is_stale():
    assert told(DATED)[1].startswith("stored: no, stale: it was stale when it came")


def test_an_answer_without_date_does_not_tell_when_it_came():
    taken = explain(SETTINGS, "GET", "/a", {"Host": "shop.test"})
    with pytest.raises(BadInput, match=r"^answer.txt: Date: expected a date"):
        explain_stored(SETTINGS, taken, FRESH.encode() + b"\n", 0.0, "answer.txt", "date")


def test_a_length_that_nothing_tells_is_said():
    """RFC 9112, 6.3: the proxy stores no answer that ends with its connection."""
    assert told("HTTP/1.1 200 OK\nCache-Control: max-age=1\n\n")[-1].startswith("but: no length is told; ")
    for framing in ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", "HTTP/2 200 "):
        assert told(f"{framing}\nCache-Control: max-age=1\n\n")[-1].startswith("after 0 s: ")


def test_what_never_reaches_the_cache_is_not_stored():
    tunnel = explain(parse_settings({"forward": {"private_targets": True}}), "CONNECT", "127.0.0.1:443")
    refused = explain(SETTINGS, "GET", "http://nowhere.invalid/")
    assert (tunnel.cache, refused.cache) == ("off", "not asked")
    for taken, why in (
        (tunnel, "what goes through a tunnel is not seen"),
        (refused, "the request is refused"),
    ):
        assert explain_stored(SETTINGS, taken, FRESH.encode() + b"\n", 0.0, "a") == [f"stored: no, {why}"]


def test_where_caching_is_off_nothing_is_stored():
    assert told("HTTP/1.1 200 OK\n\n", url="/b") == ["stored: no, caching is off for this request"]


def test_an_unsafe_method_says_what_it_makes_invalid():
    answer = 'HTTP/1.1 201 X\nLocation: /a2\nCache-Group-Invalidation: "x"\n\n'
    assert told(answer, method="PUT", Content_Length="0")[1:] == [
        "invalidates: http://shop.test/a (RFC 9111, 4.4)",
        "invalidates: http://shop.test/a2 (RFC 9111, 4.4)",
        "invalidates: all of this origin in the group 'x' (RFC 9875, 3)",
    ]


def test_every_reason_that_head_and_settings_can_give_has_its_rule():
    """The other one is only known when the body has come."""
    assert set(NotStored) - set(RULES) == {NotStored.REFUSED}


def test_a_key_is_told_as_a_string_whatever_is_in_it():
    value = describe("hit", b'web http://a/"b\\%\xff c', 1.9)
    assert value == 'hit; ttl=1; key="web http://a/%22b%5c%25%ff c"'


def test_cache_status_tells_key_and_ttl_if_it_shall_and_the_log_the_same(origin, serve, wire, tmp_path):
    """RFC 9211, 2.4 and 2.7."""
    fresh = b"HTTP/1.1 200 X\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n"
    private = b"HTTP/1.1 200 X\r\nCache-Control: private\r\nContent-Length: 0\r\n\r\n"
    file = tmp_path / "access.log"
    server = origin(lambda asked: private if asked.target == "/p" else fresh)
    proxy = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        cache=Cache(explain=True),
        log=Log(file=str(file)),
    )
    client = wire(proxy)
    values = [client.ask(target)["Cache-Status"] for target in ("/a?b", "/a?b", "/p")]
    parameters = []
    for value in values:
        [(name, said)] = http_sf.parse(value.encode(), tltype="list")
        assert name == "proxytwin"
        parameters.append(dict(said))
    key = "web http://shop.test/a?b"
    assert parameters[0] == {"fwd": "uri-miss", "stored": True, "ttl": 60, "key": key}
    assert parameters[1].pop("ttl") in (59, 60)
    assert parameters[1] == {"hit": True, "key": key}
    assert parameters[2] == {"fwd": "uri-miss", "detail": "private", "key": "web http://shop.test/p"}
    proxy.stop()
    logged = [json.loads(line)["cache"] for line in file.read_text().splitlines()]
    assert [f"proxytwin; {line}" for line in logged] == values


@pytest.mark.parametrize(("length", "stored"), [(900, True), (901, False)])
def test_what_is_larger_than_the_cache_is_not_stored_in_words_and_in_the_proxy(
    length, stored, origin, serve, wire
):
    head = f"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {length}\r\n\r\n"
    room = Cache(capacity="1000B", overhead="100B")
    settings = SETTINGS.model_copy(update={"cache": room})
    taken = explain(settings, "GET", "/a", {"Host": "shop.test"})
    said = explain_stored(settings, taken, head.encode(), 0.0, "answer.txt")[1]
    client = wire(serve(origin(lambda _: head.encode() + bytes(length)), caching=True, cache=room))
    client.ask("/a")
    assert (client.ask("/a")["Cache-Status"] or "").startswith("proxytwin; hit") == stored
    if stored:
        assert said == "stored: yes (RFC 9111, 3)"
    else:
        assert said == (
            "stored: no, too-large: the cache has room for 900B (cache.capacity less cache.overhead)"
        )
