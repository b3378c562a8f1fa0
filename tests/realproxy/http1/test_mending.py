"""Heads of responses that are not strict: what a proxy may mend means afterwards what it meant before."""

import re
import time
import timeit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realproxy.http1 import CHUNKED, Malformed, head_end, parse_response
from realproxy.http1.mending import mended_fields, mended_head, single_length
from realproxy.messages.headers import client_response

NAMES = st.sampled_from([b"X", b"Set-Cookie", b"Content-Type", b"ETag", b"x-y"])
WORDS = st.lists(st.sampled_from([b"a", b"b:c", b"1", b'"q"', b"\xe9", b"a,b"]), min_size=1, max_size=4)
FIELDS = st.lists(st.tuples(NAMES, WORDS), max_size=6)
BEFORE_COLON = st.sampled_from([b"", b" ", b"\t", b" \t "])
BETWEEN = st.sampled_from([b" ", b"\r\n ", b"\n\t", b" \r\n \t", b"\n "])
LINE_END = st.sampled_from([b"\r\n", b"\n"])
AFTER_COLON = st.sampled_from([b"", b" ", b"\r\n ", b"\n\t"])


@given(FIELDS, st.data())
def test_spoiling_what_is_mended_changes_nothing(fields, data):
    """Space before the colon (RFC 9112, 5.1), folds (5.2) and LF alone (2.2), in any mixture."""
    strict, spoilt = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1" + data.draw(st.sampled_from([b" ", b"\t", b"  "]))
    spoilt += b"200 OK" + data.draw(LINE_END)
    for name, words in fields:
        strict += name + b": " + b" ".join(words) + b"\r\n"
        spoilt += name + data.draw(BEFORE_COLON) + b":" + data.draw(AFTER_COLON) + words[0]
        for word in words[1:]:
            spoilt += data.draw(BETWEEN) + word
        spoilt += data.draw(LINE_END)
    strict, spoilt = strict + b"\r\n", spoilt + data.draw(LINE_END)
    assert head_end(spoilt + b"body\r\n\r\n") == len(spoilt)
    meant, found = parse_response(strict, "GET"), parse_response(spoilt, "GET")
    assert (found.status, found.reason, found.framing) == (meant.status, meant.reason, meant.framing)
    assert found.fields.lines == meant.fields.lines
    assert found.keeps_alive == (spoilt == strict or is_strict(spoilt))


def is_strict(head: bytes) -> bool:
    return re.fullmatch(rb"HTTP/1\.1 200 OK\r\n(?:[A-Za-z-]+:[^\r\n]*\r\n)*\r\n", head) is not None


PARTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.0", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\0", b":", b"X",
        b"Content-Length", b"Transfer-Encoding: chunked", b"5", b",", b"identity", b"\x0b", b"\x7f", b"\xff",
        b"204", b"Connection: X",
    ]
)  # fmt: skip


@example([b"HTTP/1.1 200 OK", b"\n", b"Content-Length", b" ", b":", b"5", b",", b"5"], "HEAD")
@example([b"HTTP/1.1 200 OK", b"\r\n", b" ", b"X", b":", b"5"], "GET")
@given(st.lists(PARTS, max_size=20), st.sampled_from(["GET", "HEAD"]))
def test_whatever_is_taken_goes_on_in_strict_form(parts, method):
    """Nobody behind the proxy can read the head otherwise than the proxy does."""
    data = b"".join(parts) + b"\r\n\r\n"
    end = head_end(data)
    try:
        head = parse_response(data[:end], method)
    except Malformed as refusal:
        assert refusal.status == 502
        return
    sent = client_response(head, None if method == "HEAD" else head.framing, b"")
    start, *lines = sent.split(b"\r\n")
    assert re.fullmatch(rb"HTTP/1\.1 [1-9][0-9]{2} [\t -~\x80-\xff]*", start)
    assert lines[-2:] == [b"", b""]
    for line in lines[:-2]:
        assert re.fullmatch(rb"[A-Za-z-]+: (?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?", line)
    names = [line.partition(b":")[0].lower() for line in lines]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"HTTP/1.1 200 OK\r\n", 0),
        (b"HTTP/1.1 200 OK\r\n\r", 0),
        (b"HTTP/1.1 200 OK\r\n\r\nab", 19),
        (b"HTTP/1.1 200 OK\n\nab\r\n\r\n", 17),
        (b"HTTP/1.1 200 OK\n\r\nab\n\n", 18),
        (b"HTTP/1.1 200 OK\r\n\nab", 18),
        (b"HTTP/1.1 200 OK\r\nX: 1\n\nY: 2\r\n\r\n", 23),
    ],
)
def test_a_head_ends_with_its_first_empty_line(data, end):
    assert head_end(data) == end


@pytest.mark.parametrize(
    ("fields", "framing", "kept"),
    [
        ("Content-Length : 5\r\n", 5, b"5"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 5, b"5"),
        ("Content-Length: 5,5 , 5\r\n", 5, b"5"),
        ("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", CHUNKED, None),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5, 6\r\n", CHUNKED, None),
        ("Transfer-Encoding: ,Chunked,\r\n", CHUNKED, None),
        ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", 5, b"5"),
    ],
)
def test_the_end_of_the_body_is_not_in_doubt_afterwards(fields, framing, kept):
    """RFC 9112, 6.3: one length, or chunks and no length; and the connection is not used again."""
    found = parse_response(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode(), "GET")
    assert (found.framing, found.fields.get(b"content-length")) == (framing, kept)
    assert not found.keeps_alive
    to_head = parse_response(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode(), "HEAD")
    assert (to_head.framing, to_head.fields.get(b"content-length")) == (0, kept)


def test_a_head_that_ends_earlier_is_not_taken_for_a_longer_one():
    """The fast path delimits a head by CR LF CR LF alone; a worker reads it again by `head_end`."""
    with pytest.raises(Malformed):
        parse_response(b"HTTP/1.1 200 OK\nContent-Length: 9\n\nab\r\n\r\n", "GET")


def test_a_refusal_quotes_what_was_sent():
    with pytest.raises(Malformed, match=r"bad field line 'X Y : 1'"):
        parse_response(b"HTTP/1.1 200 OK\r\nX Y : 1\r\n\r\n", "GET")


@pytest.mark.parametrize("piece", [b" ", b"\n ", b"\r", b":", b"X:\n", b"\t\r\n", b","])
def test_mending_takes_time_in_proportion_to_the_length(piece):
    """No quadratic search, which would take 64 times as long for eight times the length."""

    def seconds(times: int) -> float:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1" + piece * times + b"\r\n\r\n"
        return min(timeit.repeat(lambda: mended_head(head), number=3, repeat=7, timer=time.process_time))

    assert seconds(16_000) < 32 * seconds(2_000)


def test_trailers_are_mended_alike():
    assert mended_fields(b"X : 1\r\nY: 2\r\n 3\r\n") == b"X:1\r\nY:2 3\r\n"
    assert mended_fields(b" lost\r\nX:1\r\n") == b"X:1\r\n"


@given(st.lists(st.sampled_from([b"5", b"05", b" 5", b"", b"6"]), min_size=1, max_size=4))
def test_only_equal_lengths_are_one_length(lengths):
    wanted = {length.strip() for length in lengths}
    assert single_length(b",".join(lengths)) == (wanted.pop() if len(wanted) == 1 else None)
