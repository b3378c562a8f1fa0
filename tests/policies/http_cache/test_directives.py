"""Cache directives, plain and targeted, as the grammars say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.directives import (
    FOREVER,
    delta_seconds,
    field_names,
    parse_cache_control,
    parse_targeted,
    read_directives,
)


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


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        ("max-age=60, no-store;x=1, private=?0", {"max-age": "60", "no-store": None}),
        ("max-age=1, max-age=2", {"max-age": "2"}),
        ("foobar, max-age=99999999999", {"foobar": None, "max-age": "99999999999"}),
        ('no-cache="a, b"', {"no-cache": "a, b"}),
        ('max-age="60"', {"max-age": "unreadable"}),
        ("max-age=1.5", {"max-age": "unreadable"}),
        ("", None), ("max-age =60", None), ("max-age= 60", None), ("MaX-aGe=60", None), ("a, &&&", None),
    ],
)  # fmt: skip
def test_a_targeted_field_is_a_dictionary_or_is_ignored(text, directives):
    """RFC 9213, 2.1; of a repeated key the last counts (RFC 9651, 4.2.2)."""
    assert parse_targeted(text) == directives


def test_an_argument_of_the_wrong_type_makes_an_answer_stale():
    assert delta_seconds((parse_targeted('max-age="60"') or {})["max-age"]) == 0


def test_who_is_not_meant_reads_cache_control():
    header = {"cdn-cache-control": "max-age=9", "cache-control": "max-age=5"}.get
    assert read_directives(header, targeted=True) == ({"max-age": "9"}, True)
    assert read_directives(header, targeted=False) == ({"max-age": "5"}, False)


def test_field_names_are_read_whatever_their_case():
    assert field_names("Set-Cookie, ,X") == ["set-cookie", "x"]
    assert field_names(None) == []


@given(st.text(max_size=50))
def test_no_text_whatsoever_breaks_the_parsers(text):
    parse_cache_control(text)
    parse_targeted(text)
