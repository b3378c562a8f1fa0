"""Parts of answers, against a literal model: versions are bytes, and a part is a slice of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.freshness import NotStored, Request, read_request
from policies.http_cache.partial import (
    MOST_COMBINED,
    Part,
    answers,
    combine,
    is_whole,
    read_part,
    use_of_part,
    whole_part,
)
from policies.http_cache.reuse import Use

RANGE = {"range": "bytes=2-4"}
SAID = {"etag": '"a"', "content-range": "bytes 2-4/10"}


def read(length: int | None = 3, method: str = "GET", asked=RANGE, **changed: str | None) -> Part | NotStored:
    said = {**SAID, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return read_part(method, asked.get, said.get, length)


# --- one part -----------------------------------------------------------------------------------------


def test_a_part_says_which_bytes_of_which_version_it_holds():
    assert read() == read(None) == Part('"a"', 10, range(2, 5))
    assert not is_whole(read())
    assert is_whole(read(10, content_range="bytes 0-9/10"))


@pytest.mark.parametrize("tag", [None, "", 'W/"a"', 'w/"a"', "a", '"a", "b"', '"a" "b"', '"a b"'])
def test_only_a_strong_tag_names_a_version(tag):
    """RFC 9110, 8.8.1; RFC 9111, 3.4."""
    assert read(etag=tag) is NotStored.NO_STRONG_ETAG
    assert whole_part({"etag": tag}.get, 10) is None


@pytest.mark.parametrize(
    "place",
    [
        None, "", "bytes 2-4/*", "bytes */10", "bytes 2-4", "bytes 4-2/10", "bytes 2-4/4", "bytes 2-5/10",
        "bytes 2-3/10", "pages 2-4/10", "bytes=2-4/10", "bytes 2-4/10, bytes 2-4/10", "bytes -2-4/10",
        "bytes 2-4/10 ", "bytes ٢-٤/١٠", "bytes 2 - 4/10", f"bytes 2-4/{'9' * 30}",
    ],
)  # fmt: skip
def test_a_doubtful_place_is_not_stored(place):
    """RFC 9110, 14.4: unknown length, malformed, repeated, or contradicting the body or itself."""
    assert read(content_range=place) is NotStored.CONTENT_RANGE


def test_several_parts_in_one_are_not_stored():
    assert read(content_type="Multipart/ByteRanges; boundary=x") is NotStored.CONTENT_RANGE
    assert isinstance(read(content_type="text/plain"), Part)


@pytest.mark.parametrize(("method", "asked"), [("POST", RANGE), ("HEAD", RANGE), ("GET", {})])
def test_a_part_that_nobody_asked_for_is_not_stored(method, asked):
    assert read(method=method, asked=asked) is NotStored.STATUS


# --- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "enough"),
    [
        ({"range": "bytes=2-4"}, True), ({"range": "bytes=3-3"}, True),
        ({"range": "bytes=2-4", "if-range": '"a"'}, True),
        ({"range": "bytes=1-4"}, False), ({"range": "bytes=2-5"}, False), ({"range": "bytes=2-"}, False),
        ({"range": "bytes=-8"}, False), ({"range": "bytes=10-"}, False), ({"range": "bytes=2-2,4-4"}, False),
        ({"range": "x"}, False), ({}, False), ({"range": "bytes=2-4", "if-range": '"b"'}, False),
        ({"range": "bytes=2-4", "if-range": 'W/"a"'}, False),
        ({"range": "bytes=2-4", "if-range": "Sun, 06 Nov 1994 08:49:37 GMT"}, False),
    ],
)  # fmt: skip
def test_a_part_answers_a_range_within_it(fields, enough):
    assert answers(read(), Request(), fields.get) is enough


def test_a_part_that_ends_the_whole_answers_open_and_suffix_ranges():
    end = Part('"a"', 10, range(6, 10))
    for wanted, enough in (("bytes=7-", True), ("bytes=-4", True), ("bytes=7-99", True), ("bytes=-5", False)):
        assert answers(end, Request(), {"range": wanted}.get) is enough


def test_a_part_does_not_answer_head():
    """RFC 9110, 14.2: Range is for GET alone."""
    assert not answers(read(), read_request("HEAD", RANGE.get), RANGE.get)
    assert answers(read(), read_request("GET", RANGE.get), RANGE.get)


def test_a_part_is_sent_while_it_is_fresh_but_never_validated():
    uses = (Use.FRESH, Use.STALE, Use.STALE_WHILE_REVALIDATE, Use.ASK)
    assert [use_of_part(use, enough=True) for use in uses] == [
        Use.FRESH, Use.STALE, Use.ASK, Use.ASK,
    ]  # fmt: skip
    assert {use_of_part(use, enough=False) for use in Use} == {Use.ASK}


# --- parts together -----------------------------------------------------------------------------------


def test_overlapping_and_adjacent_parts_make_one():
    older = read()
    for at, new, made, held in (
        (range(5, 7), b"56", range(2, 7), b"23456"),
        (range(2), b"01", range(5), b"01234"),
        (range(1, 4), b"123", range(1, 5), b"1234"),
        (range(3, 4), b"3", range(2, 5), b"234"),
        (range(1, 6), b"12345", range(1, 6), b"12345"),
    ):
        assert combine(Part('"a"', 10, at), new, older, b"234") == (Part('"a"', 10, made), held)


@pytest.mark.parametrize(
    ("newer", "new"),
    [
        (Part('"b"', 10, range(4, 6)), b"45"),  # another version
        (Part('"a"', 11, range(4, 6)), b"45"),  # of another length: no tag can be trusted
        (Part('"a"', 10, range(6, 8)), b"67"),  # a gap
        (Part('"a"', 10, range(4, 6)), b"X5"),  # it contradicts the stored bytes
    ],
)
def test_what_does_not_belong_together_is_not_combined(newer, new):
    assert combine(newer, new, read(), b"234") is None


def test_long_parts_are_not_copied_for_every_byte_that_comes():
    long = bytes(MOST_COMBINED)
    held = Part('"a"', 2 * len(long), range(len(long)))
    assert combine(held._replace(at=range(len(long), len(long) + 1)), b"x", held, long) is None
    within = combine(held._replace(at=range(5, 7)), bytes(2), held, long)
    assert within is not None and within[0] == held and within[1] is long


VERSIONS = {'"a"': b"abcdefghijkl", '"b"': b"ABCDEFGHIJKL", '"c"': b"01234"}
SLICES = st.tuples(st.sampled_from(sorted(VERSIONS)), st.integers(0, 11), st.integers(0, 11)).filter(
    lambda drawn: drawn[1] <= drawn[2] < len(VERSIONS[drawn[0]])
)


@given(st.lists(SLICES, max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_whatever_arrives_an_answer_is_the_bytes_of_one_version(arrivals, first, last):
    stored: tuple[Part, bytes] | None = None
    for tag, start, end in arrivals:
        body = VERSIONS[tag][start : end + 1]
        asked = {"range": f"bytes={start}-{end}"}
        said = {"etag": tag, "content-range": f"bytes {start}-{end}/{len(VERSIONS[tag])}"}
        part = read_part("GET", asked.get, said.get, len(body))
        assert isinstance(part, Part)
        stored = (combine(part, body, *stored) if stored is not None else None) or (part, body)
        held, content = stored
        assert held.tag == tag and set(range(start, end + 1)) <= set(held.at)
        whole = VERSIONS[held.tag]
        assert content == whole[held.at.start : held.at.stop]
        assert is_whole(held) == (content == whole)
    wanted = {"range": f"bytes={first}-{last}"}
    if stored is not None and answers(stored[0], Request(), wanted.get):
        held, content = stored
        sent = content[first - held.at.start : last + 1 - held.at.start]
        assert sent == VERSIONS[held.tag][first : last + 1] != b""


@given(SLICES, SLICES)
def test_the_order_of_two_parts_does_not_matter(one, other):
    first, second = (
        (Part(tag, len(VERSIONS[tag]), range(start, end + 1)), VERSIONS[tag][start : end + 1])
        for tag, start, end in (one, other)
    )
    assert combine(*first, *second) == combine(*second, *first)


@given(SLICES)
def test_a_whole_takes_any_part_of_its_version(drawn):
    tag, start, end = drawn
    whole = VERSIONS[tag]
    part = Part(tag, len(whole), range(start, end + 1))
    held = whole_part({"etag": tag}.get, len(whole))
    assert held is not None
    assert combine(part, whole[start : end + 1], held, whole) == (held, whole)
