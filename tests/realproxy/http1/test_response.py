"""Response heads are parsed strictly: an upstream must not be able to confuse the proxy."""

import h11
import pytest

from realproxy.http1 import CHUNKED, UNTIL_CLOSE, Malformed, parse_response


def parse(text: str, method: str = "GET"):
    return parse_response(text.encode("latin-1"), method)


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a  b\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\n",
        "HTTP/1.1 299 \r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
        "HTTP/1.1 200 caf\xe9 cr\xe8me\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_good_head_is_read_as_h11_reads_it(text):
    ours = parse(text)
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    peer.receive_data(text.encode("latin-1"))
    event = peer.next_event()
    assert (ours.status, ours.reason) == (event.status_code, event.reason)
    assert [(name.lower(), value) for name, value in ours.fields.lines] == list(event.headers)


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX Y: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\0: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: a\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\n\nX: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_doubtful_head_is_a_bad_gateway(text):
    with pytest.raises(Malformed) as refusal:
        parse(text)
    assert refusal.value.status == 502


@pytest.mark.parametrize(
    ("method", "status", "fields", "framing"),
    [
        ("GET", 200, "Content-Length: 5\r\n", 5),
        ("GET", 200, "Transfer-Encoding: chunked\r\n", CHUNKED),
        ("GET", 200, "", UNTIL_CLOSE),
        ("HEAD", 200, "Content-Length: 5\r\n", 0),
        ("HEAD", 200, "Transfer-Encoding: chunked\r\n", 0),
        ("GET", 304, "Content-Length: 5\r\n", 0),
        ("GET", 204, "", 0),
        ("GET", 103, "", 0),
    ],
)
def test_framing_follows_method_status_and_fields(method, status, fields, framing):
    assert parse(f"HTTP/1.1 {status} X\r\n{fields}\r\n", method).framing == framing


def test_what_connection_lists_is_gone_before_anybody_reads_it():
    """RFC 9110, 7.6.1"""
    ours = parse(
        "HTTP/1.1 200 OK\r\nConnection: Age, via, date, content-length\r\nAge: 9\r\nVia: a\r\n"
        "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\nX: 1\r\n\r\n"
    )
    assert ours.fields.names == (b"connection", b"content-length", b"x")
    assert ours.framing == 5


def test_a_phrase_and_its_space_may_be_missing():
    assert parse("HTTP/1.1 200\r\n\r\n").reason == b""
