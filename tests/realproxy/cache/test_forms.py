"""One stored response in all its forms: no field contradicts the form in which it is sent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.freshness import Answer
from policies.http_cache.stored_fields import NOT_UPDATED, not_for_part, not_stored
from realproxy.cache.entry import CacheEntry
from realproxy.cache.entry_headers import storable_head, updated_lines
from realproxy.http1 import parse_request, parse_response
from realproxy.http1.fields import parse_fields

BODY = b"0123456789"
FIELDS = [
    "Accept-Ranges: none", "Accept-Ranges: bytes", "Cache-Control: max-age=60",
    "Content-Digest: sha-256=:AA==:",
    "Content-Encoding: gzip", "Content-Language: de", "Content-MD5: AA==", "Content-Range: bytes 0-3/100",
    "Content-Range: bytes */5", "Content-Type: text/plain", "Content-Type: multipart/byteranges; boundary=x",
    "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Digest: sha-256=AA==", 'ETag: "v"', 'ETag: W/"v"',
    "Last-Modified: Sun, 06 Nov 1994 08:40:00 GMT", "Repr-Digest: sha-256=:AA==:", "Set-Cookie: a=b",
    "Trailer: Content-Digest", "Vary: Foo",
]  # fmt: skip
ASKED = ["", "Range: bytes=2-4\r\n", "Range: bytes=0-\r\n", "Range: bytes=99-\r\n", "If-None-Match: *\r\n"]


def stored(fields: list[str], status: int = 200) -> CacheEntry:
    lines = "".join(f"{field}\r\n" for field in fields)
    text = f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(BODY)}\r\n\r\n"
    head = parse_response(text.encode(), "GET")
    return CacheEntry(status, b"X", storable_head(head, frozenset(), len(BODY)), BODY, Answer(None), 0.0)


def sent(entry: CacheEntry, method: str, asked: str) -> tuple[int, dict[str, list[str]], bytes]:
    request = parse_request(f"{method} / HTTP/1.1\r\nHost: a\r\n{asked}\r\n".encode())
    status, [head, *body] = entry.respond(request, b"", 0.0)
    found: dict[str, list[str]] = {}
    for name, value in parse_fields(head, head.index(b"\r\n") + 2, len(head) - 2).lines:
        found.setdefault(name.decode().lower(), []).append(value.decode())
    return status, found, b"".join(body)


@given(
    st.lists(st.sampled_from(FIELDS), unique_by=lambda field: field.partition(":")[0]),
    st.sampled_from(["GET", "HEAD"]), st.sampled_from(ASKED), st.sampled_from([200, 203, 404]),
)  # fmt: skip
def test_no_field_contradicts_the_form(fields, method, asked, of):
    status, found, body = sent(stored(fields, of), method, asked)
    for name, values in found.items():
        assert len(values) == 1, name
    assert not {"trailer", "transfer-encoding"} & set(found)
    if status == 206:
        [place] = found["content-range"]
        first, last, length = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", place).groups())
        assert body == BODY[first : last + 1]
        assert (length, found["content-length"]) == (len(BODY), [str(len(body))])
        assert not {"content-digest", "content-md5"} & set(found), "they are about the whole"
        assert found.get("accept-ranges") != ["none"]
        assert not found.get("content-type", [""])[0].startswith("multipart/byteranges")
        kept = ("ETag", "Cache-Control", "Date", "Vary", "Repr-Digest", "Digest", "Content-Encoding")
        assert {field for field in fields if field.startswith(tuple(f"{name}:" for name in kept))} <= {
            f"{name}: {found[name.lower()][0]}" for name in kept if name.lower() in found
        }
    elif status == 304:
        assert not {"content-digest", "content-range", "content-length", "content-encoding"} & set(found)
    elif status == 416:
        assert (found["content-range"], found["content-length"]) == ([f"bytes */{len(BODY)}"], ["0"])
    else:
        assert status == of
        assert found["content-length"] == [str(len(BODY))]
        assert body == (b"" if method == "HEAD" else BODY)
        digest = any(field.startswith("Content-Digest") for field in fields)
        assert ("content-digest" in found) is (digest and method == "GET"), "HEAD has no content"


@pytest.mark.parametrize("status", [200, 416])
def test_what_is_sent_whole_keeps_its_content_range(status):
    _, found, _ = sent(stored(["Content-Range: bytes */5"], status), "GET", "")
    assert found["content-range"] == ["bytes */5"]


@given(st.lists(st.sampled_from(FIELDS)), st.lists(st.sampled_from(FIELDS)))
def test_a_304_changes_no_field_that_fits_the_stored_bytes(before, after):
    """RFC 9111, 3.2; a 304 has no content, so its Content-Digest is that of nothing (RFC 9530, B.2)."""
    entry = stored(before)
    lines = "".join(f"{field}\r\n" for field in after)
    confirmation = parse_response(f"HTTP/1.1 304 X\r\n{lines}\r\n".encode(), "GET").fields
    updated = [(name.lower().decode(), value) for name, value in updated_lines(entry.fields, confirmation)]
    for name in NOT_UPDATED - {"content-length"}:
        assert [value for key, value in updated if key == name] == [
            value for key, value in entry.fields.lines if key.lower().decode() == name
        ]
    assert not {"trailer", "content-length"} & {name for name, _ in updated}
    for name in (b"cache-control", b"vary", b"set-cookie", b"content-language"):
        if name in confirmation:
            assert (name.decode(), confirmation.get(name)) in [
                (key, b", ".join(value for other, value in updated if other == key)) for key, _ in updated
            ]


def test_what_is_stored_of_a_part_is_the_head_of_its_whole():
    """RFC 9111, 3.3; RFC 9530, 2: a Content-Digest of the part would not fit the whole."""
    assert not_stored(206) == {"content-digest", "content-md5", "content-range"}
    assert not_stored(200) == not_stored(416) == frozenset(), "RFC 9111, 3.1"


@pytest.mark.parametrize(
    ("value", "dropped"), [("none", True), (" None ", True), ("bytes", False), (None, False)]
)
def test_a_part_does_not_say_that_there_are_no_parts(value, dropped):
    assert ("accept-ranges" in not_for_part({"accept-ranges": value}.get)) is dropped
