"""Validators, and the conditions that a client sends."""

import pytest

from policies.http_cache.validation import head_agrees, not_modified, tag_listed, validators

NOW = 784_111_777.0
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:40:00 GMT"
LATER = "Sun, 06 Nov 1994 08:59:59 GMT"


def asks(**fields):
    return {name.replace("_", "-"): value for name, value in fields.items()}.get


def test_all_validators_are_asked_about():
    assert validators(asks(etag='"a"', last_modified=DATE)) == [
        ("If-None-Match", '"a"'), ("If-Modified-Since", DATE),
    ]  # fmt: skip
    assert validators(asks()) == []


@pytest.mark.parametrize(
    ("tag", "listed", "expected"),
    [
        ('"a"', '"a"', True), ('"a"', '"b"', False), ('"a"', 'W/"a"', True), ('W/"a"', '"a"', True),
        ('"a"', '"x", "a" ,"y"', True), ('"a,b"', '"x", "a,b"', True), ('"a"', '"a,b"', False),
        ("a", "a", True), ('"a"', "a", False), (None, "*", True), (None, '"a"', False), ('"a"', "", False),
    ],
)  # fmt: skip
def test_tags_are_compared_weakly(tag, listed, expected):
    """RFC 9110, 8.8.3.2 and 13.1.2."""
    assert tag_listed(tag, listed) is expected


@pytest.mark.parametrize(
    ("asked", "stored", "expected"),
    [
        (asks(if_none_match='"a"'), asks(etag='"a"'), True),
        (asks(if_none_match='"a"', if_modified_since=EARLIER), asks(etag='"a"', last_modified=DATE), True),
        (asks(if_none_match='"b"', if_modified_since=LATER), asks(etag='"a"', last_modified=DATE), False),
        (asks(if_modified_since=DATE), asks(last_modified=DATE), True),
        (asks(if_modified_since=LATER), asks(last_modified=DATE), True),
        (asks(if_modified_since=EARLIER), asks(last_modified=DATE), False),
        (asks(if_modified_since=LATER), asks(date=DATE), True),
        (asks(if_modified_since=EARLIER), asks(date=DATE), False),
        (asks(if_modified_since="yesterday"), asks(last_modified=DATE), False),
        (asks(if_modified_since=LATER), asks(), False),
        (asks(), asks(etag='"a"', last_modified=DATE), False),
    ],
)
def test_who_has_it_already_is_told_so(asked, stored, expected):
    """RFC 9111, 4.3.2."""
    assert not_modified(asked, stored, NOW) is expected


def test_an_answer_to_head_is_about_what_is_stored_if_nothing_speaks_against_it():
    """RFC 9111, 4.3.5."""
    stored = asks(etag='"a"', last_modified=DATE)
    assert head_agrees(stored, asks(), 5)
    assert head_agrees(stored, asks(etag='"a"', content_length="5"), 5)
    assert not head_agrees(stored, asks(etag='"b"'), 5)
    assert not head_agrees(stored, asks(last_modified=LATER), 5)
    assert not head_agrees(stored, asks(content_length="6"), 5)
