"""RFC 9111 as decisions: what may be stored, for how long, and what a request lets its cache do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.directives import FOREVER
from policies.http_cache.freshness import (
    Forwarded,
    NotStored,
    Request,
    read_answer,
    read_request,
)
from policies.http_cache.lifetime import HEURISTIC_LIMIT, current_age

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def fields(*lines: str):
    return dict((part.strip() for part in line.split(":", 1)) for line in lines).get


def read(*lines: str, status=200, request=None, authorized=False, ttl=None, delay=0.0, **options):
    return read_answer(status, fields(*lines), request or Request(), authorized, ttl, NOW, delay, **options)


@pytest.mark.parametrize(
    ("lines", "lifetime"),
    [
        (["cache-control: max-age=60"], 60),
        (["cache-control: max-age=60, s-maxage=10"], 10),
        (["cache-control: max-age=60", "expires: Thu, 01 Jan 1970 00:00:00 GMT"], 60),
        ([f"date: {DATE}", "expires: Sun, 06 Nov 1994 08:50:37 GMT"], 60),
        (["expires: Sun, 06 Nov 1994 08:50:37 GMT"], 60),
        (["x: 1"], 5),
        (["cache-control: max-age=60, x=" + "y" * 1000], 60),
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
        (["cache-control: max-age=60, no-cache"], NotStored.NO_CACHE),
        (["cache-control: max-age=60", "vary: accept, *"], NotStored.VARY),
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
        ("GET", ["cache-control: max-stale"], Request(max_stale=FOREVER)),
        ("GET", ["cache-control: max-stale=5"], Request(max_stale=5)),
        ("GET", ["cache-control: max-stale=x"], Request()),
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


@given(st.text(max_size=60), st.sampled_from(["cache-control", "expires", "date", "age", "vary", "pragma"]))
def test_no_text_whatsoever_is_more_than_stale(text, name):
    header = {name: text}.get
    read_request("GET", header)
    answer = read_answer(200, header, Request(), False, None, NOW, 0.0)
    assert answer.reason is not None or answer.lifetime > answer.age
    assert answer.lifetime <= FOREVER


def test_the_body_of_a_get_is_not_in_the_key_so_nothing_is_stored_for_it():
    request = read_request("GET", fields(), body=True)
    assert (request.forward, request.unstorable) == (Forwarded.BYPASS, NotStored.REQUEST_BODY)


@pytest.mark.parametrize("validator", ['etag: "a"', f"last-modified: {DATE}"])
def test_what_can_be_validated_is_worth_storing_even_stale(validator):
    """RFC 9111, 3: no-cache allows storing; 4.3.1: a validator makes it useful."""
    for line in ("cache-control: no-cache", "cache-control: max-age=0", "expires: 0"):
        answer = read(line, validator)
        assert (answer.reason, answer.kept) == (None, FOREVER)


def test_what_was_modified_long_ago_is_guessed_to_be_fresh_for_a_tenth_of_that():
    """RFC 9111, 4.2.2."""
    ten_minutes_before = "last-modified: Sun, 06 Nov 1994 08:39:37 GMT"
    assert read(ten_minutes_before, f"date: {DATE}").lifetime == 60
    assert read("last-modified: Thu, 06 Nov 1969 08:49:37 GMT").lifetime == HEURISTIC_LIMIT
    assert read(ten_minutes_before, ttl=5.0).lifetime == 5
    assert read(ten_minutes_before, "cache-control: max-age=9").lifetime == 9
    assert read(ten_minutes_before, status=503).reason is NotStored.STATUS
    assert read(ten_minutes_before, "cache-control: public", status=599).lifetime == 60


def test_no_store_gives_way_to_must_understand_only_for_statuses_that_are_understood():
    """RFC 9111, 5.2.2.3."""
    line = "cache-control: max-age=60, no-store, must-understand"
    assert read(line).reason is None
    assert read(line, status=599).reason is NotStored.STATUS
    assert read("cache-control: max-age=60, must-understand", status=599).reason is NotStored.STATUS
    assert read("cache-control: max-age=60", status=599).reason is None


def test_directives_with_field_names_hold_back_those_fields_only():
    """RFC 9111, 5.2.2.4 and 5.2.2.7."""
    answer = read('cache-control: max-age=60, no-cache="A, b", private="set-cookie"')
    assert (answer.reason, answer.validate) == (None, False)
    assert answer.omitted == {"a", "b", "set-cookie"}


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=9"])
def test_some_answers_are_never_used_stale(directive):
    """RFC 9111, 4.2.4, 5.2.2.2, 5.2.2.8, 5.2.2.10."""
    answer = read(
        f"cache-control: max-age=9, stale-while-revalidate=9, stale-if-error=9, {directive}", stale=9
    )
    assert (answer.strict, answer.while_revalidate, answer.if_error) == (True, 0, 0)


def test_how_long_a_stale_answer_serves_is_the_origins_word_before_the_settings():
    """RFC 5861, 3 and 4."""
    assert read("cache-control: max-age=9", stale=600).if_error == 600
    answer = read("cache-control: max-age=9, stale-if-error=5, stale-while-revalidate=7", stale=600)
    assert (answer.if_error, answer.while_revalidate, answer.kept) == (5, 7, 16)


def test_a_targeted_field_takes_the_place_of_cache_control_and_expires():
    """RFC 9213, 2.2."""
    lines = ["cdn-cache-control: max-age=60", "cache-control: no-store", "expires: 0"]
    assert (read(*lines, targeted=True).lifetime, read(*lines).reason) == (60, NotStored.NO_STORE)
    assert read("cdn-cache-control: no-store", "cache-control: max-age=9", targeted=True).reason
    assert read("cdn-cache-control: private", "cache-control: max-age=9", targeted=True).reason
    broken = read("cdn-cache-control: max-age=60, &&&", "cache-control: max-age=9", targeted=True)
    assert broken.lifetime == 9
