"""Byte ranges of what is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.ranges import range_applies, select_range

NOW = 784_111_777.0
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:40:00 GMT"


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("bytes=0-1", range(2)), ("bytes=1-", range(1, 10)), ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)), ("bytes=8-99", range(8, 10)), ("BYTES=0-0", range(1)),
        ("bytes=5-4", None), ("bytes=0-1,3-4", None), ("pages=1-2", None), ("bytes=a-b", None),
        ("bytes=-", None), ("", None),
    ],
)  # fmt: skip
def test_one_range_is_read(value, part):
    """RFC 9110, 14.1.1 and 14.2."""
    assert select_range(value, 10) == part


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_what_lies_behind_the_end_is_empty(value):
    part = select_range(value, 10)
    assert part is not None and not part


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_range_is_what_a_slice_is(first, last, length):
    part = select_range(f"bytes={first}-{last}", length)
    body = bytes(length)
    assert (part is None) is (last < first)
    assert part is None or len(part) == len(body[first : last + 1])


@pytest.mark.parametrize(
    ("condition", "stored", "applies"),
    [
        (None, {}, True), ('"a"', {"etag": '"a"'}, True), ('"b"', {"etag": '"a"'}, False),
        ('W/"a"', {"etag": 'W/"a"'}, False), (EARLIER, {"last-modified": EARLIER, "date": DATE}, True),
        (DATE, {"last-modified": EARLIER, "date": DATE}, False),
        (DATE, {"last-modified": DATE, "date": DATE}, False), ("x", {"last-modified": EARLIER}, False),
        ("x", {}, False),
    ],
)  # fmt: skip
def test_if_range_compares_strongly(condition, stored, applies):
    """RFC 9110, 13.1.5."""
    assert range_applies({"if-range": condition}.get, stored.get, NOW) is applies
