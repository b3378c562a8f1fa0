"""Which answer counts in a file that curl has written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bad_input import BadInput
from realproxy.control.answer_file import read_answer_file

FINAL = "HTTP/1.1 200 OK\nCache-Control: max-age=60\nContent-Length: 4\n\nbody"
MOVED = "HTTP/1.1 301 Moved\nLocation: /b\nContent-Length: 178\n\n"  # curl -L writes no body of a redirect
REFUSED = "HTTP/1.1 503 Busy\nContent-Length: 5\n\nhello"
LATE = "HTTP/1.1 404 Not Found\nCache-Control: no-store\n\n"


def read(text: str | bytes, method: str = "GET") -> tuple[int, str | None]:
    head, _ = read_answer_file(text.encode() if isinstance(text, str) else text, method, "answer.txt")
    return head.status, head.fields.text("cache-control")


@pytest.mark.parametrize(
    ("before", "option"),
    [
        ("", "-i"), (MOVED, "-iL"), (MOVED * 3, "-iL"), ("HTTP/1.1 301 Moved\nLocation: /b\n\n", "-iL"),
        ("HTTP/1.1 308 X\nLocation: /b\nContent-Length: 2\n\nok", "several URLs"),
        ("HTTP/1.1 100 Continue\n\n", "-i -d"), ("HTTP/1.1 103 Early Hints\nLink: </a>\n\n", "-i"),
        ("HTTP/1.1 102 Processing\n\nHTTP/1.1 103 Early Hints\nLink: </a>\n\n", "-i"),
        ("HTTP/1.1 200 Connection established\n\n", "-x"), ("HTTP/1.0 200 OK\nProxy-Agent: a\n\n", "-x"),
        ("HTTP/1.1 407 X\nProxy-Authenticate: Basic\nContent-Length: 9\n\nHTTP/1.1 200 X\n\n", "-x"),
        ("HTTP/1.1 401 X\nWWW-Authenticate: Digest\nContent-Length: 9\n\n", "--digest"),
        ("HTTP/1.1 101 Switching Protocols\nUpgrade: h2c\nConnection: Upgrade\n\n", "--http2"),
        (REFUSED, "--retry"), (REFUSED + "\n", "two URLs"), ("HTTP/1.1 204 No Content\n\n", "two URLs"),
        ("HTTP/2 302 \nlocation: /b\n\n", "-iL"), ("\n\n", "-w"), ("HTTP/3 308 \nlocation: /b\n\n\n", "-iL"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("final", [FINAL, FINAL.replace("HTTP/1.1 200 OK", "HTTP/2 200 ")])
def test_the_last_final_head_counts(before, option, end, final):
    text = (before + final).replace("\n", end)
    assert read(text) == (200, "max-age=60"), option


def test_what_looks_like_a_head_in_the_last_body_is_none():
    body = LATE + "<p>this page is about HTTP</p>"
    assert read(f"HTTP/1.1 200 OK\nCache-Control: max-age=1\nContent-Length: {len(body)}\n\n{body}")[0] == 200
    assert read(f"HTTP/1.1 200 OK\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\n{body}")[0] == 200
    assert read(f"{MOVED}HTTP/2 200 \ncontent-type: text/html\n\n{body}")[0] == 200
    assert read(f"{FINAL}\n< HTTP/1.1 404 Not Found\n") == (200, "max-age=60")


def test_the_heads_of_several_head_requests_have_lengths_but_no_bodies():
    assert read("HTTP/1.1 200 OK\nContent-Length: 5000\n\n" + LATE, "HEAD")[0] == 404


VERBOSE = """\
*   Trying 127.0.0.1:9001...
> GET /a HTTP/1.1
> Host: shop.test
> Cache-Control: no-cache
>
< HTTP/1.1 100 Continue
<
< HTTP/1.1 301 Moved
< Location: /b
* Ignoring the response-body
<
< HTTP/1.1 200 OK
* a remark of curl
< Cache-Control: max-age=60
< Content-Length: 20
<\x20
{ [20 bytes data]
<html>
< HTTP/1.1 500 X
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_marks_of_curl_v_are_understood(end):
    assert read(VERBOSE.replace("\n", end)) == (200, "max-age=60")
    both = VERBOSE.replace("< HTTP/1.1 200 OK\n", "< HTTP/1.1 200 OK\nHTTP/1.1 200 OK\n")
    assert read(both.replace("\n", end)) == (200, "max-age=60"), "curl -iv writes both"
    answers = "".join(f"{line}\n" for line in VERBOSE.splitlines()[:-1] if line.startswith("<"))
    assert read(answers.replace("\n", end)) == (200, "max-age=60"), "curl -v | grep '^<'"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_what_a_shell_does_to_the_text_is_undone(encoding):
    text = FINAL.encode(encoding)
    assert read(b"\xff\xfe" + text if encoding == "utf-16-le" else text) == (200, "max-age=60")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "status line"), ("hello", "status line"), ("\x00" * 9, "status line"),
        ("Cache-Control: max-age=60\n\n", "status line"), ("HTTP/1.1 2000 X\n\n", "status line"),
        ("HTTP/1.1 100 Continue\n\n", "only interim ones"), ("HTTP/1.1 099 X\n\n", "status line"),
        ("> GET / HTTP/1.1\n> Host: a\n>\n", "status line"),
        ("HTTP/1.1 200 OK\nno field\n\n", "bad field line"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told_in_one_line(text, problem):
    with pytest.raises(BadInput, match=problem) as raised:
        read(text)
    assert str(raised.value).startswith("answer.txt: answer: expected ")
    assert "\n" not in str(raised.value)


@given(st.binary(max_size=200) | st.text("HTP/1.0 2345\r\n<>*:aL", max_size=80).map(str.encode))
def test_no_bytes_whatsoever_raise_another_error(text):
    try:
        status, _ = read(text)
    except BadInput:
        return
    assert 200 <= status <= 999
