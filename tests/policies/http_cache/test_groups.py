"""Cache groups are read as RFC 9875 says."""

import pytest

from policies.http_cache.groups import LONGEST, MOST_GROUPS, read_groups


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        (None, ()), ("", ()), ('"a"', ("a",)), ('"a", "b"', ("a", "b")), ('"a","a"', ("a",)),
        ('"a";x=1, "b";y', ("a", "b")), ('"A", "a"', ("A", "a")), ("a, b", ()), ('"a", b, 1', ("a",)),
        ('"a', ()), ('"a" "b"', ()), ('("a" "b"), "c"', ("c",)), ('"with \\"quotes\\""', ('with "quotes"',)),
    ],
)  # fmt: skip
def test_a_field_is_a_list_of_strings_and_nothing_else_counts(value, groups):
    assert read_groups(value) == groups


def test_what_is_kept_of_one_answer_is_bounded_beyond_what_must_be_possible():
    """Section 2: at least 32 groups of at least 32 characters."""
    assert MOST_GROUPS >= 32
    assert LONGEST >= 32
    many = ", ".join(f'"{number}"' for number in range(1000))
    assert len(read_groups(many)) == MOST_GROUPS
    assert read_groups(f'"{"x" * LONGEST}", "{"y" * (LONGEST + 1)}"') == ("x" * LONGEST,)
