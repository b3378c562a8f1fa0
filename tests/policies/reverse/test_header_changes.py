"""Header changes: set replaces, add appends after a comma, remove leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from policies.reverse.header_changes import FieldChanger
from policies.settings.ingress import HeaderChanges

LINES = [(b"My-Header", b"foo"), (b"Other", b"1"), (b"Set-Cookie", b"a=1"), (b"Other", b"2")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"set": {"my-header": "bar"}}, [LINES[1], LINES[2], LINES[3], (b"my-header", b"bar")]),
        ({"set": {"New": "x"}}, [*LINES, (b"New", b"x")]),
        ({"add": {"MY-HEADER": "bar,baz"}}, [(b"My-Header", b"foo,bar,baz"), *LINES[1:]]),
        ({"add": {"other": "3"}}, [*LINES[:3], (b"Other", b"2,3")]),
        ({"add": {"New": "x"}}, [*LINES, (b"New", b"x")]),
        ({"add": {"set-cookie": "b=2"}}, [*LINES, (b"set-cookie", b"b=2")]),
        ({"remove": ["OTHER", "absent"]}, [LINES[0], LINES[2]]),
    ],
)
def test_changes(changes: dict[str, Any], expected: list[tuple[bytes, bytes]]) -> None:
    assert FieldChanger(HeaderChanges(**changes)).apply(LINES) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"set": {"Host": "x"}},
        {"set": {"content-length": "1"}},
        {"add": {"Transfer-Encoding": "chunked"}},
        {"remove": ["Connection"]},
        {"set": {"a b": "x"}},
        {"set": {"": "x"}},
        {"set": {"X:": "x"}},
        {"set": {"X": "line\r\nbreak"}},
        {"set": {"X": "Grüße"}},
        {"set": {"X": "1"}, "remove": ["x"]},
        {"set": {"X": "1", "x": "2"}},
    ],
)
def test_what_would_break_a_message_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HeaderChanges(**wrong)
