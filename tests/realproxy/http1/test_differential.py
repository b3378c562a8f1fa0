"""Whole messages beside two other parsers: what ours accepts, they read alike, however it is cut.

Messages are put together from good and bad parts, then a few bytes are exchanged. Ours may refuse what
others accept; what it accepts must mean to them what it means to us, or the difference can be used to
smuggle.
"""

from __future__ import annotations

import contextlib

import h11
import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realproxy.downstream.connection import DownstreamConnection, ReadResult
from realproxy.http1 import Malformed, body_reader, parse_request
from realproxy.runtime.blocking import BlockedThreads

LIMIT = 4096

LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"POST /a?b HTTP/1.1",
        b"POST /a HTTP/1.0",
        b"PUT http://shop.test/ HTTP/1.1",
        b"get  / HTTP/1.1",
    ]
)
FIELDS = st.sampled_from(
    [
        b"Host: shop.test", b"Host: a:80", b"X: 1", b"X:", b"X: \t a b ", b"X : 1", b" folded",
        b"Content-Length: 5", b"Content-Length: 05", b"Content-Length: 5, 5", b"Content-Length: +5",
        b"content-length: 0", b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity", b"Transfer-Encoding:", b"Connection: close",
        b"Connection: transfer-encoding",
    ]
)  # fmt: skip
BODIES = st.sampled_from(
    [
        b"", b"hello", b"hello world", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b"0\r\n\r\n",
        b"05\r\nhello\r\n00\r\nX: 1\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n", b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
    ]
)  # fmt: skip
TAILS = st.sampled_from([b"", b"GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n"])
CHANGES = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(b"\r\n\t \0:;,=5aZ\x0b\x7f\xff"), st.booleans()),
    max_size=2,
)
CUTS = st.lists(st.integers(1, 250), max_size=20)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    fields = [b"Host: shop.test"] * draw(st.booleans()) + draw(st.lists(FIELDS, max_size=4))
    data = bytearray(b"\r\n".join([draw(LINES), *fields, b"", b""]) + draw(BODIES) + draw(TAILS))
    for place, byte, inserted in draw(CHANGES):
        if place < len(data):
            data[place : place + (not inserted)] = bytes([byte])
    return bytes(data)


Message = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes, bytes]
"""Method, target, fields with names in lower case, body, and what is behind it."""


class Socket:
    """Gives what a network would: pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def fileno(self) -> int:
        return 0

    def recv(self, _size: int, _flags: int = 0) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place for place in cuts if place < len(data)})
    return [
        data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True) if end > start
    ]


def ours(pieces: list[bytes]) -> Message | None:
    """What ours reads; None for what is refused or not whole."""
    client = DownstreamConnection(Socket(pieces), "", LIMIT, BlockedThreads())
    arrival = ReadResult.PART
    while arrival is ReadResult.PART:
        arrival = client.read()
    if arrival is ReadResult.END:
        return None
    try:
        head = parse_request(client.take_head())
        reader = body_reader(head.framing, LIMIT)
        body = b"".join(map(bytes, reader.feed(client.buffer)))
        rest = reader.rest if reader.done else b""
        if head.framing == 0:
            rest = client.buffer
        for piece in pieces:
            if reader.done:
                rest += piece
            else:
                body += b"".join(map(bytes, reader.feed(piece)))
                rest += reader.rest if reader.done else b""
    except Malformed:
        return None
    if not reader.done:
        return None
    fields = [(name.lower(), value) for name, value in head.fields.lines]
    return head.method.encode(), head.target, fields, body, rest


def lowered(message: Message) -> Message:
    """With codings in lower case, as h11 has them."""
    fields = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in message[2]]
    return *message[:2], fields, *message[3:]


def by_h11(data: bytes) -> Message | None:
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT * 4)
    peer.receive_data(data)
    body = b""
    try:
        head = peer.next_event()
        if not isinstance(head, h11.Request):
            return None
        while not isinstance(event := peer.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA or not isinstance(event, h11.Data):
                return None
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return (
        bytes(head.method),
        bytes(head.target),
        [tuple(map(bytes, f)) for f in head.headers],
        body,
        peer.trailing_data[0],
    )


class Notes:
    """What httptools says."""

    def __init__(self) -> None:
        self.target = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.messages = 0
        self.in_head = True

    def on_url(self, url: bytes) -> None:
        self.target += url if not self.messages else b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head and not self.messages:
            self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.in_head = False

    def on_body(self, body: bytes) -> None:
        self.body += body if not self.messages else b""

    def on_message_complete(self) -> None:
        self.messages += 1


def by_httptools(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes] | None:
    notes = Notes()
    parser = httptools.HttpRequestParser(notes)
    with contextlib.suppress(httptools.HttpParserError):
        parser.feed_data(data)
    return (notes.target, notes.fields, notes.body) if notes.messages else None


EXAMPLES = [
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n",
]


@settings(max_examples=300)
@given(messages(), CUTS)
@example(EXAMPLES[0], [3, 70])
@example(EXAMPLES[1], [3, 70])
def test_what_is_accepted_means_the_same_to_other_parsers(data: bytes, cuts: list[int]) -> None:
    message = ours([data])
    assert ours(cut(data, cuts)) == message, "however it is cut"
    assert ours([data[i : i + 1] for i in range(len(data))]) == message, "byte by byte, too"
    if message is None:
        return
    theirs = by_h11(data)
    if theirs is not None:
        assert lowered(message) == theirs
    llhttp = by_httptools(data)
    if llhttp is not None:
        assert (message[1], message[2], message[3]) == llhttp
    assert theirs is not None or llhttp is not None, "nobody else takes this for a message"


def test_the_examples_are_accepted_by_all() -> None:
    for data in EXAMPLES:
        message = ours([data])
        assert message is not None
        assert lowered(message) == by_h11(data)
        assert (message[1], message[2], message[3]) == by_httptools(data)
