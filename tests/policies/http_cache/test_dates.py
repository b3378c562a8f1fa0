"""HTTP dates in all their forms."""

import calendar
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.dates import parse_http_date

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("text", [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
def test_all_three_formats_of_a_date_are_read(text):
    assert parse_http_date(text, NOW) == NOW


@pytest.mark.parametrize(
    "text", [None, "", "0", "-1", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT",
             "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", DATE + "x",
             "Sun, 06 Nov 0000 08:49:37 GMT", "Sun Nov  6 08:49:37 0000"],
)  # fmt: skip
def test_what_is_no_date_is_none(text):
    assert parse_http_date(text, NOW) is None


def test_a_two_digit_year_is_at_most_fifty_years_ahead():
    in_2030 = 1_900_000_000.0
    assert parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", in_2030) == NOW
    assert parse_http_date("Sunday, 06-Nov-79 08:49:37 GMT", in_2030) > in_2030


@pytest.mark.parametrize("text", [DATE.upper(), DATE.lower(), "sunday, 06-nov-94 08:49:37 gmt"])
def test_case_does_not_count(text):
    """RFC 9111, 4.2: a cache should match case-insensitively."""
    assert parse_http_date(text, NOW) == NOW


@given(st.integers(0, 2**33))
def test_every_second_survives_being_written_and_read(second):
    in_c = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(second))
    assert parse_http_date(formatdate(second, usegmt=True), NOW) == second
    assert parse_http_date(in_c, NOW) == second == calendar.timegm(time.gmtime(second))
