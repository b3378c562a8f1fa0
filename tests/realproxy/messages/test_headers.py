"""What the proxy changes in heads: remembered work must never show in another message."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy.http1 import CHUNKED, UNTIL_CLOSE, parse_request, parse_response
from realproxy.messages import headers as heads
from realproxy.messages.headers import client_response, upstream_request

LINES = [
    b"Date: Mon, 23 Nov 2026 11:52:13 GMT", b"X: 1", b"Connection: X, close", b"Connection: keep-alive",
    b"Keep-Alive: 5", b"Content-Length: 3", b"Upgrade: a", b"Via: 1.1 a", b"X-Forwarded-For: 192.0.2.1",
    b"Forwarded: for=192.0.2.1", b"traceparent: 00-1-2-00", b"tracestate: a=1", b"TE: trailers",
    b"X-Forwarded-Proto: ftp", b"Range: bytes=0-1", b'If-None-Match: "a"',
]  # fmt: skip
BLOCKS = st.lists(st.sampled_from(LINES), unique=True, max_size=6).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)
HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authorization",
    b"te",
    b"transfer-encoding",
    b"upgrade",
}


def kept(fields, *drops: bytes) -> bytes:
    """The lines that go on, found without any memory."""
    gone = HOP | set(drops)
    for name, value in fields.lines:
        if name.lower() == b"connection":
            gone |= {part.strip().lower() for part in value.split(b",")}
    return b"".join(b"%b: %b\r\n" % line for line in fields.lines if line[0].lower() not in gone)


@given(
    BLOCKS,
    st.lists(
        st.tuples(st.sampled_from([None, 0, 3, CHUNKED, UNTIL_CLOSE]), st.sampled_from([b"", b"Age: 1\r\n"])),
        min_size=1,
        max_size=6,
    ),
)
def test_each_client_is_told_what_it_alone_must_know(block, clients):
    for framing, added in clients:
        answer = parse_response(b"HTTP/1.1 404 Not here\r\n%b\r\n" % block, "GET")
        told = {None: b"", UNTIL_CLOSE: b"", CHUNKED: b"Transfer-Encoding: chunked\r\n"}.get(
            framing, b"Content-Length: %d\r\n" % (framing or 0)
        )
        lines = kept(answer.fields, *([] if framing is None else [b"content-length"]))
        found = client_response(answer, framing, added)
        date = b"" if b"date" in answer.fields else re.search(rb"Date: .*\r\n", found)[0]
        start = b"HTTP/1.1 404 Not here\r\n"
        assert found == b"%b%bVia: 1.1 proxytwin\r\n%b%b%b\r\n" % (start, lines, told, added, date)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n"])
def test_an_answer_without_a_date_gets_the_present_one_each_time(head, monkeypatch):
    for moment in (0, 60):
        monkeypatch.setattr(heads.time, "time", lambda moment=moment: moment)
        found = client_response(parse_response(head, "GET"), 0, b"")
        assert b"Date: Thu, 01 Jan 1970 00:0%d:00 GMT\r\n" % (moment // 60) in found


@given(
    BLOCKS,
    st.lists(
        st.tuples(
            st.sampled_from([b"a.test", b"b.test:81"]),
            st.sampled_from(["192.0.2.7", "2001:db8::1"]),
            st.sampled_from([None, "00-3-4-00"]),
            st.sampled_from([b"http", b"https"]),
            st.sampled_from([None, [("if-none-match", '"b"')]]),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_each_upstream_is_told_of_its_own_client(block, asked):
    for host, client, trace, scheme, validators, whole in asked:
        head = parse_request(b"GET /a?b HTTP/1.1\r\nHost: x\r\n%b\r\n" % block)
        head.traceparent, head.scheme, head.begins_trace = trace, scheme, whole
        found = upstream_request(head, host, client, validators, whole=whole)
        drops = [
            b"host",
            b"content-length",
            b"x-forwarded-for",
            b"x-forwarded-host",
            b"x-forwarded-proto",
            b"forwarded",
        ]
        drops += [b"traceparent"] if trace else []
        drops += [b"tracestate"] if trace and whole else []
        drops += [b"if-none-match", b"if-modified-since"] if validators else []
        drops += [b"range", b"if-range"] if whole else []
        start = b"GET /a?b HTTP/1.1\r\nHost: %b\r\n%bVia: 1.1 proxytwin\r\n" % (
            host,
            kept(head.fields, *drops),
        )
        assert found.startswith(start) and found.endswith(b"\r\n\r\n")
        sent = parse_request(found).fields
        before = head.fields.text("x-forwarded-for")
        assert sent.text("x-forwarded-for") == (f"{before}, {client}" if before else client)
        assert sent.get(b"x-forwarded-proto") == scheme and sent.get(b"x-forwarded-host") == host
        assert (sent.text("forwarded") or "").endswith(f"proto={scheme.decode()}")
        assert not trace or sent.text("traceparent") == trace
        assert not validators or sent.text("if-none-match") == '"b"'
