"""What was read is remembered: that saves work, and changes nothing that can be seen."""

import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy.http1 import Fields, Malformed, parse_request, parse_response
from realproxy.http1 import request as requests
from realproxy.http1 import response as responses
from realproxy.http1.fields import REMEMBERED, SHORT, parse_fields
from realproxy.http1.request import check_block
from realproxy.messages.headers import client_response, upstream_request

LINES = st.sampled_from(
    [
        b"Host: a", b"Host: b:81", b"host: [::1]", b"Host: a b", b"X: 1", b"X: 2", b"Connection: close",
        b"Connection: keep-alive, X", b"Content-Length: 3", b"Content-Length: x", b"X : 1",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Cookie: \xff", b"",
    ]
)  # fmt: skip
BLOCKS = st.lists(LINES, max_size=5).map(lambda lines: b"".join(line + b"\r\n" for line in lines))
DROPS = st.frozensets(st.sampled_from([b"host", b"x", b"connection", b"cookie"]))


def described(fields: Fields) -> tuple[object, ...]:
    return fields.lines, fields.names, [fields.get(name) for name in fields.names]


def request(block: bytes, line: bytes = b"GET /a HTTP/1.1"):
    """What is made of a request head, or how it is refused."""
    try:
        head = parse_request(b"%b\r\n%b\r\n" % (line, block))
    except Malformed as error:
        return error.status, error.problem
    return (
        head.method, head.target, head.minor, described(head.fields), head.framing, head.host, head.port,
        head.path, head.form, head.keeps_alive,
    )  # fmt: skip


def response(block: bytes, line: bytes, method: str):
    try:
        head = parse_response(b"%b\r\n%b\r\n" % (line, block), method)
    except Malformed as error:
        return error.status, error.problem
    return head.status, head.reason, head.minor, described(head.fields), head.framing, head.keeps_alive


def forget() -> None:
    requests._read_block.cache_clear()
    responses._read.cache_clear()


@given(st.lists(BLOCKS, min_size=1, max_size=4), st.sampled_from([b"GET /a HTTP/1.1", b"POST /b HTTP/1.0"]))
def test_a_request_read_from_memory_is_what_it_is_when_read_anew(blocks, line):
    remembered = [request(block, line) for block in blocks * 2]
    forget()
    assert remembered == [request(block, line) for block in blocks] * 2


@given(
    st.lists(BLOCKS, min_size=1, max_size=4),
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 404"]),
    st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_an_answer_read_from_memory_is_what_it_is_when_read_anew(blocks, line, method):
    for other in ("GET", "HEAD"):
        response(blocks[0], line, other)
    remembered = [response(block, line, method) for block in blocks * 2]
    forget()
    assert remembered == [response(block, line, method) for block in blocks] * 2


def test_requests_with_equal_fields_share_them_and_nothing_else():
    block = b"Host: shop.test\r\nCookie: id=1\r\n"
    first = parse_request(b"GET /one HTTP/1.1\r\n%b\r\n" % block)
    first.scheme, first.traceparent, first.proto = b"https", "00-1-2-00", "https"
    other = parse_request(b"POST /two HTTP/1.1\r\n%b\r\n" % block)
    assert other.fields is first.fields
    assert (other.method, other.target, other.scheme, other.traceparent, other.proto) == (
        "POST", b"/two", b"http", None, None,
    )  # fmt: skip


def test_the_minor_version_counts_although_the_fields_are_equal():
    block = b"Host: shop.test\r\n"
    assert request(block)[-1] is True
    assert request(block, b"GET /a HTTP/1.0")[-1] is False
    assert parse_request(b"GET / HTTP/1.0\r\n\r\n").host == b""
    with pytest.raises(Malformed, match="Host is missing"):
        parse_request(b"GET / HTTP/1.1\r\n\r\n")


def test_what_is_refused_once_is_refused_again():
    for _ in range(3):
        with pytest.raises(Malformed, match="bad field line"):
            parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n")
        with pytest.raises(Malformed, match="bad field line"):
            parse_response(b"HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n", "GET")


def test_whether_an_answer_has_a_body_is_not_remembered_from_another_method():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert [parse_response(head, method).framing for method in ("GET", "HEAD", "POST")] == [5, 0, 5]


def test_fields_cannot_be_changed():
    fields = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: X, close\r\n\r\n").fields
    assert isinstance(fields.lines, tuple) and isinstance(fields.names, tuple)
    assert isinstance(fields.elements(b"connection"), tuple) and isinstance(fields.elements(b"none"), tuple)
    fields.passed_on(frozenset()).clear()
    assert fields.joined(frozenset()) == b"Host: a\r\nConnection: X, close\r\n"


@given(BLOCKS, st.lists(DROPS, min_size=1, max_size=4))
def test_the_lines_that_go_on_are_remembered_for_each_set_of_drops(block, all_drops):
    try:
        fields = parse_fields(block, 0, len(block))
    except Malformed:
        return
    for drops in all_drops * 2:
        listed = set(drops)
        for name, value in fields.lines:
            if name.lower() == b"connection":
                listed |= {part.strip().lower() for part in value.split(b",")}
        kept = [(name, value) for name, value in fields.lines if name.lower() not in listed]
        assert fields.passed_on(drops) == kept
        assert fields.joined(drops) == b"".join(b"%b: %b\r\n" % line for line in kept)


def test_what_is_long_is_read_but_not_remembered():
    forget()
    block = b"Host: a\r\nX: " + b"a" * SHORT + b"\r\n"
    request(block)
    response(block, b"HTTP/1.1 200 OK", "GET")
    assert requests._read_block.cache_info().currsize == responses._read.cache_info().currsize == 0


def test_hostile_variety_fills_no_memory():
    forget()
    filler = b"".join(b"%x:\r\n" % number for number in range(16, 204))

    def flood(start: int) -> None:
        for number in range(start, start + REMEMBERED):
            block = b"Host: a\r\nX: %d\r\n%b" % (number, filler)
            asked = parse_request(b"GET / HTTP/1.1\r\n%b\r\n" % block)
            answer = parse_response(b"HTTP/1.1 200 OK\r\n%b\r\n" % block, "GET")
            upstream_request(asked, asked.host, "192.0.2.1")
            client_response(answer, 0, b"")
            assert asked.fields.text("x") == answer.fields.text("x") == str(number)

    assert 900 < len(filler) < SHORT - 60
    tracemalloc.start()
    try:
        threads = [threading.Thread(target=flood, args=(number * 10_000,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert requests._read_block.cache_info().currsize == responses._read.cache_info().currsize == REMEMBERED
    assert held < 40 * 2**20  # both memories together
    forget()


def test_a_block_is_checked_wherever_it_comes_from():
    block = check_block(Fields([(b"Host", b"A.test:81"), (b"Content-Length", b"4")]), 1)
    assert (block.host, block.port, block.framing, block.keeps_alive) == (b"a.test", 81, 4, True)
    with pytest.raises(Malformed):
        check_block(Fields([(b"Host", b"a b")]), 1)
