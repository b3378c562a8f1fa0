"""Where a body ends: the decision from the head, and incremental readers. RFC 9112, 6 and 7"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from realproxy.http1.fields import TOKEN, Fields, Malformed, parse_fields
from realproxy.http1.mending import mended_fields

CHUNKED = -1
"""Framing: chunks. A framing of zero or more is a length in bytes."""
UNTIL_CLOSE = -2
"""Framing: the body ends with the connection; only possible in responses."""

Data = bytes | memoryview

_LENGTH = re.compile(rb"[0-9]{1,18}")  # Content-Length = 1*DIGIT: no sign               RFC 9110, 8.6


def request_framing(fields: Fields, minor: int) -> int:
    """The framing of a request's body; raises `Malformed` 400 or 501. RFC 9112, 6.3"""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if b"content_length" in fields or b"transfer_encoding" in fields:
        # Not framing here, but for applications that read CGI variables (RFC 3875, 4.1.18).
        raise Malformed(400, "an underscore in the name of a framing field")
    if coding is None:
        return 0 if length is None else _length(length, 400)
    if length is not None:
        raise Malformed(400, "Transfer-Encoding together with Content-Length")
    if minor == 0:
        raise Malformed(400, "Transfer-Encoding in HTTP/1.0")
    if coding.lower() != b"chunked":
        raise _other_coding(fields.elements(b"transfer-encoding"))
    return CHUNKED


def _other_coding(codings: Sequence[bytes]) -> Malformed:
    if codings[-1] != b"chunked":  # RFC 9112, 6.3, rule 4: the end is not known
        return Malformed(400, "Transfer-Encoding does not end in chunked")
    if b"chunked" in codings[:-1]:  # RFC 9112, 6.1: not more than once
        return Malformed(400, "Transfer-Encoding names chunked twice")
    return Malformed(501, "a transfer coding other than chunked")  # RFC 9112, 6.1


def response_framing(fields: Fields, minor: int, status: int, method: str) -> int:
    """The framing of a response's body; raises `Malformed` 502. RFC 9112, 6.3"""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    # Content-Length is forwarded even if no body follows, so a bad one is refused in any case.
    size = UNTIL_CLOSE if length is None else _length(length, 502)
    if coding is not None and length is not None:
        raise Malformed(502, "the upstream sent Transfer-Encoding together with Content-Length")
    if method == "HEAD" or status < 200 or status in (204, 304):
        return 0
    if coding is None:
        return size
    if minor == 0 or coding.lower() != b"chunked":
        raise Malformed(502, "the upstream sent a body whose end is ambiguous")
    return CHUNKED


def is_persistent(fields: Fields, minor: int) -> bool:
    """Whether the sender of a message keeps the connection open. RFC 9112, 9.3"""
    if b"connection" not in fields:
        return minor == 1
    options = fields.elements(b"connection")
    return b"close" not in options and (minor == 1 or b"keep-alive" in options)


def _length(text: bytes, status: int) -> int:
    if _LENGTH.fullmatch(text) is None:
        raise Malformed(status, "bad Content-Length")
    return int(text)


class BodyReader(ABC):
    """Reads the body of one message from data as it arrives.

    `done` says whether the body is complete. `rest` is the data after its end: the next message of a
    pipeline. `trailer` is the trailer section of a chunked body.
    """

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailer: Fields | None = None

    @abstractmethod
    def feed(self, data: Data) -> list[Data]:
        """The pieces of the body in `data`, as views of it."""

    def end(self) -> bool:
        """Take note that the connection has ended; returns whether the body is complete."""
        return self.done


class LengthReader(BodyReader):
    """A body of `length` bytes."""

    def __init__(self, length: int) -> None:
        self.remaining, self.done, self.rest, self.trailer = length, length == 0, b"", None

    def feed(self, data: Data) -> list[Data]:
        """Take bytes up to the length."""
        if len(data) > self.remaining:
            self.rest = bytes(data[self.remaining :])
            data = data[: self.remaining]
        self.remaining -= len(data)
        self.done = self.remaining == 0
        return [data] if len(data) else []


class CloseReader(BodyReader):
    """A body that ends with the connection."""

    def feed(self, data: Data) -> list[Data]:
        """Take everything."""
        return [data] if len(data) else []

    def end(self) -> bool:
        """Complete the body."""
        self.done = True
        return True


# chunked-body = *chunk last-chunk trailer-section CRLF                                RFC 9112, 7.1
# chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
# chunk-ext    = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )          RFC 9112, 7.1.1
# chunk-ext-val = token / quoted-string. Valid extensions are ignored, others are refused: parsers that
# disagree on the end of an extension disagree on the end of the chunk.
_PLAIN = rb"[\t !#-\[\]-~\x80-\xff]*+"
_QUOTED = rb'"' + _PLAIN + rb"(?:\\[\t -~\x80-\xff]" + _PLAIN + rb')*"'
_VALUE = rb"(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb"++|" + _QUOTED + rb"))?"
_SIZE = rb"([0-9A-Fa-f]{1,15})(?:[ \t]*+;[ \t]*+" + TOKEN + rb"++" + _VALUE + rb")*\r\n"
_FIRST_SIZE = re.compile(_SIZE)
_NEXT_SIZE = re.compile(rb"\r\n" + _SIZE)  # with the CRLF at the end of the chunk before
_SIZE_LINE_LIMIT = 1024  # with its CRLF


class ChunkedReader(BodyReader):
    """A body in chunks, with at most `limit` bytes of trailer section; see `body_reader`."""

    def __init__(self, limit: int, head: Fields | None, mended: bool) -> None:
        super().__init__()
        self._limit, self._head, self._mended = limit, head, mended
        self._remaining = 0
        self._size = _FIRST_SIZE
        self._held = b""
        self._in_trailer = False

    def feed(self, data: Data) -> list[Data]:
        """Take the data of chunks; raises `Malformed` 400."""
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[Data] = []
        at = 0
        while at < len(data) and not self.done:
            if self._remaining:
                piece = data[at : at + self._remaining]
                self._remaining -= len(piece)
                at += len(piece)
                pieces.append(piece)
            elif self._in_trailer:
                self._read_trailer(bytes(data[at:]))
                break
            else:
                found = self._size.match(data, at)
                if found is None:
                    self._hold_size_line(bytes(data[at:]))
                    break
                end = found.end()
                if end - at > _SIZE_LINE_LIMIT and end - found.start(1) > _SIZE_LINE_LIMIT:
                    raise Malformed(400, "bad chunk size")
                at = end
                self._remaining = int(found[1], 16)
                self._size = _NEXT_SIZE
                self._in_trailer = self._remaining == 0
        return pieces

    def _hold_size_line(self, data: bytes) -> None:
        """Keep the start of a size line; raises `Malformed` if it can never become one."""
        text = data
        if self._size is _NEXT_SIZE:
            if not b"\r\n".startswith(data[:2]):
                raise Malformed(400, "a chunk does not end where its size says")
            text = data[2:]
        if b"\n" in text or len(text) >= _SIZE_LINE_LIMIT or not (text[:1] + b"0").isalnum():
            raise Malformed(400, "bad chunk size")
        self._held = data

    def _read_trailer(self, data: bytes) -> None:
        if data.startswith(b"\r\n"):
            self.done, self.rest = True, data[2:]
            return
        end = data.find(b"\r\n\r\n")
        if end > self._limit or (end < 0 and len(data) > self._limit):
            raise Malformed(400, "the trailer section is too long")
        if end < 0:
            self._held = data
            return
        self.trailer = self._trailer_of(data[: end + 2])
        self.done, self.rest = True, data[end + 4 :]

    def _trailer_of(self, lines: bytes) -> Fields:
        try:
            trailer = parse_fields(lines, 0, len(lines))
        except Malformed:
            if not self._mended:
                raise
            lines = mended_fields(lines)
            trailer = parse_fields(lines, 0, len(lines))
        # What Connection lists is for this hop, in the trailer section, too.             RFC 9110, 7.6.1
        listed = () if self._head is None else self._head.elements(b"connection")
        return trailer.without(frozenset(listed))


def body_reader(framing: int, limit: int, head: Fields | None = None, *, mended: bool = False) -> BodyReader:
    """The reader for a framing.

    `limit` is for the bytes of a trailer section, without the fields that Connection in `head` lists. The
    trailer section of a response may be `mended`.
    """
    if framing == CHUNKED:
        return ChunkedReader(limit, head, mended)
    return CloseReader() if framing == UNTIL_CLOSE else LengthReader(framing)
