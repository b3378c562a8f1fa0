"""RFC 9111 as decisions: what may be stored, for how long, and what a request lets its cache do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.freshness import (
    FOREVER,
    Forwarded,
    NotStored,
    Request,
    current_age,
    delta_seconds,
    invalidates,
    parse_cache_control,
    parse_http_date,
    read_answer,
    read_request,
)

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def fields(*lines: str):
    return dict((part.strip() for part in line.split(":", 1)) for line in lines).get


def read(*lines: str, status=200, request=None, authorized=False, ttl=None, delay=0.0):
    return read_answer(status, fields(*lines), request or Request(), authorized, ttl, NOW, delay)


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        (None, {}),
        ("", {}),
        ("No-Store", {"no-store": None}),
        ("max-age=60,public", {"max-age": "60", "public": None}),
        ('private="a, b", max-age="9"', {"private": "a, b", "max-age": "9"}),
        ("max-age=1, max-age=2", {"max-age": "1"}),
        (" , ,a=b ,", {"a": "b"}),
        ('x="a\\"b, no-store"', {"x": 'a\\"b, no-store'}),
    ],
)
def test_directives_are_read(text, directives):
    assert parse_cache_control(text) == directives


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("60", 60), ("99999999999999", FOREVER), ("4294967296", FOREVER), ("-1", 0),
     ("1.5", 0), ("x", 0),
     ("", 0), (None, 0), ("\xb2", 0)],
)  # fmt: skip
def test_unreadable_seconds_are_stale_and_huge_ones_forever(text, seconds):
    assert delta_seconds(text) == seconds


@pytest.mark.parametrize("text", [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
def test_all_three_formats_of_a_date_are_read(text):
    assert parse_http_date(text, NOW) == NOW


@pytest.mark.parametrize(
    "text", [None, "", "0", "-1", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT",
             "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", DATE + "x"],
)  # fmt: skip
def test_what_is_no_date_is_none(text):
    assert parse_http_date(text, NOW) is None


def test_a_two_digit_year_is_at_most_fifty_years_ahead():
    in_2030 = 1_900_000_000.0
    assert parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", in_2030) == NOW
    assert parse_http_date("Sunday, 06-Nov-79 08:49:37 GMT", in_2030) > in_2030


@pytest.mark.parametrize(
    ("lines", "lifetime"),
    [
        (["cache-control: max-age=60"], 60),
        (["cache-control: max-age=60, s-maxage=10"], 10),
        (["cache-control: max-age=60", "expires: Thu, 01 Jan 1970 00:00:00 GMT"], 60),
        ([f"date: {DATE}", "expires: Sun, 06 Nov 1994 08:50:37 GMT"], 60),
        (["expires: Sun, 06 Nov 1994 08:50:37 GMT"], 60),
        (["x: 1"], 5),
    ],
)
def test_the_lifetime_is_what_binds_most(lines, lifetime):
    answer = read(*lines, ttl=5.0)
    assert (answer.reason, answer.lifetime) == (None, lifetime)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["x: 1"], NotStored.NO_FRESHNESS),
        (["cache-control: max-age=60, no-store"], NotStored.NO_STORE),
        (["cache-control: max-age=60, private"], NotStored.PRIVATE),
        (['cache-control: max-age=60, no-cache="x"'], NotStored.NO_CACHE),
        (["cache-control: max-age=60", "vary: accept"], NotStored.VARY),
        (["cache-control: max-age=x"], NotStored.STALE),
        (["cache-control: max-age=60", "age: 60"], NotStored.STALE),
        (["expires: 0"], NotStored.STALE),
        (["expires: 0", "set-cookie: a"], NotStored.STALE),
        (["cache-control: max-age=60", "date: Sun, 06 Nov 1994 08:48:37 GMT"], NotStored.STALE),
    ],
)
def test_what_must_not_be_stored_has_a_reason(lines, reason):
    assert read(*lines).reason is reason


def test_a_ttl_is_no_licence_for_cookies_or_unusual_statuses():
    assert read("set-cookie: a", ttl=5.0).reason is NotStored.SET_COOKIE
    assert read("set-cookie: a", "cache-control: max-age=5").reason is None
    assert read("x: 1", ttl=5.0, status=404).reason is None
    assert read("x: 1", ttl=5.0, status=500).reason is NotStored.STATUS
    assert read("cache-control: max-age=5", status=500).reason is None
    assert read("cache-control: max-age=5", status=206).reason is NotStored.STATUS
    assert read("cache-control: max-age=5", status=304).reason is NotStored.STATUS


@pytest.mark.parametrize("licence", ["public", "s-maxage=5", "must-revalidate"])
def test_authorized_answers_need_a_licence(licence):
    assert read("cache-control: max-age=5", authorized=True).reason is NotStored.AUTHORIZATION
    assert read(f"cache-control: max-age=5, {licence}", authorized=True).reason is None


@pytest.mark.parametrize(
    ("lines", "delay", "age"),
    [
        ([], 3.0, 0), (["age: 10"], 0.0, 10), (["age: 10"], 2.5, 12.5), ([f"date: {DATE}"], 0.0, 0),
        (["date: Sun, 06 Nov 1994 08:49:07 GMT"], 0.0, 30), (["date: Sun, 06 Nov 1994 08:59:07 GMT"], 0.0, 0),
        (["date: Sun, 06 Nov 1994 08:49:07 GMT", "age: 50"], 0.0, 50), (["age: x"], 0.0, 0),
        (["age: 7, 9"], 0.0, 7),
    ],
)  # fmt: skip
def test_the_age_is_the_larger_of_claimed_and_apparent(lines, delay, age):
    assert current_age(fields(*lines), NOW, delay) == age


@pytest.mark.parametrize(
    ("method", "lines", "expected"),
    [
        ("GET", [], Request()),
        ("HEAD", [], Request(unstorable=NotStored.METHOD)),
        ("POST", ["cache-control: max-age=9"], Request(Forwarded.METHOD, NotStored.METHOD)),
        ("GET", ["cache-control: no-cache"], Request(Forwarded.REQUEST)),
        ("GET", ["cache-control: max-age=0"], Request(Forwarded.REQUEST, max_age=0)),
        ("GET", ["cache-control: max-age=9, min-fresh=3"], Request(max_age=9, min_fresh=3)),
        ("GET", ["cache-control: no-store"], Request(unstorable=NotStored.REQUEST_NO_STORE)),
        ("GET", ["cache-control: only-if-cached"], Request(only_if_cached=True)),
        ("GET", ["pragma: no-cache"], Request(Forwarded.REQUEST)),
        ("GET", ["pragma: no-cache", "cache-control: max-age=9"], Request(max_age=9)),
        ("HEAD", ["pragma: no-cache"], Request(Forwarded.REQUEST, NotStored.METHOD)),
    ],
)
def test_a_request_says_what_its_cache_may_do(method, lines, expected):
    assert read_request(method, fields(*lines)) == expected


def test_what_a_request_forbids_is_the_reason():
    assert (
        read("cache-control: max-age=9", request=Request(unstorable=NotStored.METHOD)).reason
        is NotStored.METHOD
    )


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [("POST", 200, True), ("DELETE", 204, True), ("PUT", 303, True), ("POST", 404, False),
     ("PATCH", 500, False),
     ("GET", 200, False), ("OPTIONS", 200, False), ("PURGE", 200, True)],
)  # fmt: skip
def test_successful_unsafe_methods_invalidate(method, status, expected):
    assert invalidates(method, status) is expected


@given(st.text(max_size=60), st.sampled_from(["cache-control", "expires", "date", "age", "vary", "pragma"]))
def test_no_text_whatsoever_is_more_than_stale(text, name):
    header = {name: text}.get
    read_request("GET", header)
    answer = read_answer(200, header, Request(), False, None, NOW, 0.0)
    assert answer.reason is not None or answer.lifetime > answer.age
