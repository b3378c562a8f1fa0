"""The arithmetic of freshness beside a second transcription of RFC 9111, 4.2: as literal as can be."""

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.freshness import Request, read_answer
from policies.http_cache.reuse import Use, reuse

NOW = 1_700_000_000
SECONDS = st.integers(0, 100_000)
MAYBE = st.none() | SECONDS


# RFC 9111, 4.2.1: "If the cache is shared and the s-maxage response directive is present, use its
# value, or if the max-age response directive is present, use its value, or if the Expires response
# header field is present, use its value minus the value of the Date response header field."
def freshness_lifetime(s_maxage, max_age, expires_value, date_value):
    if s_maxage is not None:
        return s_maxage
    if max_age is not None:
        return max_age
    if expires_value is not None:
        return max(0, expires_value - date_value)
    return None


# RFC 9111, 4.2.3
def current_age(age_value, date_value, request_time, response_time, now):
    apparent_age = max(0, response_time - date_value)
    response_delay = response_time - request_time
    corrected_age_value = age_value + response_delay
    corrected_initial_age = max(apparent_age, corrected_age_value)
    resident_time = now - response_time
    return corrected_initial_age + resident_time


def fields_of(s_maxage, max_age, expires, date, age):
    directives = [f"{name}={value}" for name, value in (("s-maxage", s_maxage), ("max-age", max_age))
                  if value is not None]  # fmt: skip
    fields = {"date": formatdate(date, usegmt=True), "last-modified": formatdate(0, usegmt=True)}
    if directives:
        fields["cache-control"] = ", ".join(directives)
    if expires is not None:
        fields["expires"] = formatdate(expires, usegmt=True)
    if age is not None:
        fields["age"] = str(age)
    return fields.get


def read(header, delay):
    return read_answer(200, header, Request(), False, None, float(NOW), float(delay))


@given(s_maxage=MAYBE, max_age=MAYBE, expires=MAYBE, skew=st.integers(-5_000, 5_000), age=SECONDS,
       delay=st.integers(0, 100), resident=SECONDS)  # fmt: skip
def test_an_answer_is_fresh_exactly_when_the_formulas_say_so(
    s_maxage, max_age, expires, skew, age, delay, resident
):
    """RFC 9111, 4.2: response_is_fresh = (freshness_lifetime > current_age)."""
    date = NOW - skew
    at = None if expires is None else NOW - 50_000 + expires
    lifetime = freshness_lifetime(s_maxage, max_age, at, date)
    answer = read(fields_of(s_maxage, max_age, at, date, age), delay)
    expected_age = current_age(age, date, NOW - delay, NOW, NOW + resident)
    assert answer.age + resident == expected_age
    if lifetime is not None:
        assert answer.lifetime == lifetime
        is_fresh = lifetime > expected_age
        assert (reuse(answer, Request(), answer.age + resident) is Use.FRESH) == is_fresh


@given(skew=st.integers(-5_000, 5_000), delay=st.integers(0, 100), resident=SECONDS)
def test_without_an_age_only_the_date_tells_how_old_an_answer_is(skew, delay, resident):
    """No cache was on the way, so the origin made it for this request: the delay is not its age.

    The formulas would add the delay here too, in case a cache of HTTP/1.0 is on the way; the least
    that they give without it is what is used.
    """
    answer = read(fields_of(None, 60, None, NOW - skew, None), delay)
    expected_age = current_age(0, NOW - skew, NOW, NOW, NOW + resident)
    assert answer.age + resident == expected_age


@given(age=st.integers(0, 2**40), max_age=st.integers(0, 2**40))
def test_numbers_too_large_count_as_the_largest(age, max_age):
    """RFC 9111, 1.2.2."""
    answer = read(fields_of(None, max_age, None, NOW, age), 0)
    assert answer.lifetime == min(max_age, 2**31)
    assert answer.age == min(age, 2**31)


@given(request_max=SECONDS, least=SECONDS, most=SECONDS, lifetime=SECONDS, age=SECONDS)
def test_what_a_request_allows_is_held_against_the_same_numbers(request_max, least, most, lifetime, age):
    """RFC 9111, 5.2.1.1 to 5.2.1.3, in their words."""
    answer = read(fields_of(None, lifetime, None, NOW, None), 0)
    assert (reuse(answer, Request(max_age=request_max), age) is Use.FRESH) == (
        age <= request_max and age < lifetime
    )
    assert (reuse(answer, Request(min_fresh=least), age) is Use.FRESH) == (
        lifetime > age and lifetime - age >= least
    )
    stale = reuse(answer, Request(max_stale=most), age) is Use.STALE
    assert stale == (lifetime <= age and age - lifetime < most)
