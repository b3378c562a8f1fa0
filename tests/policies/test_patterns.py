"""Patterns: exact text, glob, regular expression."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.patterns import check_pattern, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("shop.test", "shop.test", True),
        ("shop.test", "shopxtest", False),
        ("shop.test", "www.shop.test", False),
        ("*.shop.test", "www.shop.test", True),
        ("*.shop.test", "a.b.shop.test", True),
        ("*.shop.test", "shop.test", False),
        ("/api/*", "/api/", True),
        ("/api/*", "/api/v1/users", True),
        ("/api/*", "/api", False),
        ("/api/*", "/v1/api/x", False),
        ("/a?c", "/abc", True),
        ("/a?c", "/ac", False),
        ("/[ab]", "/b", True),
        ("/[!ab]", "/b", False),
        ("/a.*", "/a.gif", True),
        ("/a.*", "/abgif", False),
        ("*", "", True),
        ("", "", True),
        ("", "x", False),
        ("~^/api", "/api/x", True),
        ("~^/api", "/v1/api", False),
        ("~api", "/v1/api/x", True),
        (r"~\.gif$", "/a.gif", True),
        (r"~\.gif$", "/a.gif?x", False),
        ("~", "anything", True),
        ("Shop.test", "shop.test", False),
        ("*", "two\nlines", True),
    ],
)
def test_a_pattern_takes_what_it_says(pattern: str, value: str, matches: bool) -> None:
    assert compile_pattern(pattern)(value) is matches


@pytest.mark.parametrize("pattern", ["Shop.Test", "*.TEST", "~^SHOP", "shop.?est"])
def test_host_names_ignore_case(pattern: str) -> None:
    assert compile_pattern(pattern, ignore_case=True)("sHop.test")
    assert not compile_pattern(pattern, ignore_case=True)("other.host")
    assert not compile_pattern(pattern)("sHop.test")


@pytest.mark.parametrize("pattern", ["~(", "~[", "~*", "~a{2,1}", "~(?P<x>", "~a{99999999999999999999}"])
def test_a_broken_regular_expression_is_refused_in_one_line(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^'~.*' is not a valid regular expression: .+$"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["", "a", "[", "[a", "]", "*", "\\", "~a", "a~("])
def test_anything_else_is_a_pattern(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


PLAIN = st.text(alphabet=set(string.printable) - set("*?[~"), max_size=20)


@given(PLAIN, PLAIN)
def test_plain_text_takes_itself_only(text: str, other: str) -> None:
    assert compile_pattern(text)(text)
    assert compile_pattern(text)(other) is (text == other)


@given(PLAIN, PLAIN, PLAIN)
def test_a_star_takes_everything_in_between(before: str, between: str, after: str) -> None:
    assert compile_pattern(f"{before}*{after}")(before + between + after)
