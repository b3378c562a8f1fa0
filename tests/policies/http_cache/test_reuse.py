"""Whether a stored answer may be sent, held against the RFC's formulas written out a second time."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.freshness import Answer, Forwarded, NotStored, Request, read_answer
from policies.http_cache.lifetime import current_age
from policies.http_cache.reuse import Use, forward_reason, may_serve_stale_on_error, outdates, reuse

HOUR = Answer(None, lifetime=3600.0)


@pytest.mark.parametrize(
    ("request_", "age", "use"),
    [
        (Request(), 0, Use.FRESH), (Request(), 3599, Use.FRESH), (Request(), 3600, Use.ASK),
        (Request(max_age=10), 10, Use.FRESH), (Request(max_age=10), 11, Use.ASK),
        (Request(min_fresh=100), 3500, Use.FRESH), (Request(min_fresh=101), 3500, Use.ASK),
        (Request(max_stale=10), 3609, Use.STALE), (Request(max_stale=10), 3610, Use.ASK),
        (Request(Forwarded.REQUEST), 0, Use.ASK),
    ],
)  # fmt: skip
def test_a_request_bounds_what_it_accepts(request_, age, use):
    """RFC 9111, 5.2.1.1 to 5.2.1.4."""
    assert reuse(HOUR, request_, age) is use


def test_answers_bound_it_too():
    assert reuse(Answer(None, 3600.0, validate=True), Request(), 0) is Use.ASK
    assert reuse(Answer(None, 5.0, strict=True), Request(max_stale=99), 6) is Use.ASK
    behind = Answer(None, 5.0, while_revalidate=10.0)
    assert [reuse(behind, Request(), age) for age in (4, 5, 14.9, 15)] == [
        Use.FRESH, Use.STALE_WHILE_REVALIDATE, Use.STALE_WHILE_REVALIDATE, Use.ASK,
    ]  # fmt: skip


def test_a_failed_origin_lets_stale_answers_stand_in_while_they_may():
    """RFC 9111, 4.2.4 and RFC 5861, 4."""
    answer = Answer(None, 5.0, if_error=10.0)
    assert [may_serve_stale_on_error(answer, Request(), age) for age in (6, 14.9, 15)] == [True, True, False]
    for request in (Request(Forwarded.REQUEST), Request(min_fresh=1), Request(max_age=5)):
        assert not may_serve_stale_on_error(answer, request, 6)
    assert not may_serve_stale_on_error(Answer(None, 5.0, validate=True, if_error=10.0), Request(), 6)


def test_a_stored_failure_does_not_stand_in():
    answer = Answer(None, 5.0, if_error=10.0)
    assert may_serve_stale_on_error(answer, Request(), 6, 404)
    assert not may_serve_stale_on_error(answer, Request(), 6, 500)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (200, NotStored.NO_STORE, True), (200, NotStored.PRIVATE, True),
        (404, NotStored.NO_FRESHNESS, True), (302, NotStored.STATUS, True),
        (200, NotStored.TOO_LARGE, True), (200, NotStored.REQUEST_NO_STORE, True),
        (200, NotStored.AUTHORIZATION, False), (416, NotStored.REQUEST_FIELDS, False),
        (412, NotStored.REQUEST_FIELDS, False), (429, NotStored.STATUS, False),
        (425, NotStored.STATUS, False),
        (304, NotStored.STATUS, False), (206, NotStored.CONTENT_RANGE, False), (500, NotStored.STATUS, False),
        (503, NotStored.NO_STORE, False),
    ],
)  # fmt: skip
def test_only_what_holds_for_everybody_outdates_what_is_stored(status, reason, expected):
    """RFC 9111, 4 and 4.3.3."""
    assert outdates(status, reason) is expected


def test_why_the_origin_is_asked():
    """RFC 9211, 2.2."""
    assert forward_reason(Request(), None, 0, variants=False) is Forwarded.URI_MISS
    assert forward_reason(Request(), None, 0, variants=True) is Forwarded.VARY_MISS
    assert forward_reason(Request(), HOUR, 4000, variants=True) is Forwarded.STALE
    assert forward_reason(Request(max_age=5), HOUR, 6, variants=True) is Forwarded.REQUEST
    assert forward_reason(Request(Forwarded.METHOD), HOUR, 6, variants=True) is Forwarded.METHOD


# --- the formulas of RFC 9111, literally ------------------------------------------------------------


def freshness_lifetime(directives, expires, date, response_time):
    """Section 4.2.1: the first match of the list."""
    if "s-maxage" in directives:
        return directives["s-maxage"]
    if "max-age" in directives:
        return directives["max-age"]
    if expires is not None:
        return max(0, expires - (date if date is not None else response_time))
    return None


def corrected_initial_age(age_value, date_value, request_time, response_time):
    """Section 4.2.3, first three formulas."""
    apparent_age = max(0, response_time - date_value) if date_value is not None else 0
    response_delay = response_time - request_time
    corrected_age_value = age_value + response_delay if age_value is not None else 0
    return max(apparent_age, corrected_age_value)


def imf(second):
    from email.utils import formatdate

    return formatdate(second, usegmt=True)


SECONDS = st.integers(0, 10_000)
MOMENTS = st.one_of(st.none(), st.integers(999_990_000, 1_000_010_000))
NOW = 1_000_000_000


@given(
    st.dictionaries(st.sampled_from(["s-maxage", "max-age"]), SECONDS), MOMENTS, MOMENTS,
    st.one_of(st.none(), SECONDS), st.integers(0, 30), SECONDS,
)  # fmt: skip
def test_fresh_or_not_is_what_the_formulas_say(directives, expires, date, age, delay, resident):
    header = {
        "cache-control": ", ".join(f"{name}={value}" for name, value in directives.items()) or None,
        "expires": None if expires is None else imf(expires),
        "date": None if date is None else imf(date),
        "age": None if age is None else str(age),
        "etag": '"kept even if stale"',
    }.get
    lifetime = freshness_lifetime(directives, expires, date, NOW)
    initial = corrected_initial_age(age, date, NOW - delay, NOW)
    assert current_age(header, NOW, delay) == initial

    answer = read_answer(200, header, Request(), False, None, NOW, delay)
    # current_age = corrected_initial_age + resident_time (section 4.2.3)
    fresh = lifetime is not None and lifetime > initial + resident
    assert (reuse(answer, Request(), answer.age + resident) is Use.FRESH) is fresh


@given(SECONDS, SECONDS, SECONDS, SECONDS, SECONDS)
def test_request_directives_are_what_section_5_2_1_says(lifetime, age, max_age, min_fresh, max_stale):
    answer = Answer(None, float(lifetime))
    request = Request(max_age=max_age, min_fresh=min_fresh, max_stale=max_stale)
    young_enough = age <= max_age  # 5.2.1.1: "an age less than or equal to"
    remains = Fraction(lifetime) - age
    long_enough = remains >= min_fresh  # 5.2.1.3: "no less than its current age plus the specified time"
    if remains > 0:
        accepted = young_enough and long_enough
    else:  # 5.2.1.2: "exceeded by no more than", and nothing fresher was asked for
        accepted = young_enough and min_fresh == 0 and -remains < max_stale
    assert (reuse(answer, request, age) is not Use.ASK) is accepted
