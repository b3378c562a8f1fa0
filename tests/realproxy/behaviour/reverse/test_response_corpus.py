"""A corpus of answers: malformed ones become 502, cut ones are seen to be cut, and none spoils the next.

The origin sends each case to the proxy, whose client then asks for something else: it must get that,
never what was left on an upstream connection.
"""

from __future__ import annotations

import threading

import pytest

from realproxy import Limits, Proxy, Route, Service
from realproxy.errors import Termination

OK = b"HTTP/1.1 200 OK\r\n"
OLD = b"HTTP/1.0 200 OK\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
THREE = b"Content-Length: 3"
EVIL = OK + b"Content-Length: 4\r\n\r\nevil"


def fielded(*lines: bytes, body: bytes = b"", line: bytes = OK) -> bytes:
    """A head of some lines, and a body."""
    return line + b"".join(text + b"\r\n" for text in lines) + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return fielded(b"Transfer-Encoding: chunked", body=body)


BAD_HEADS = {  # RFC 9112, 4, 5 and 6.3
    "nothing": b"",
    "garbage": b"garbage\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "half a head": OK + b"Content-Len",
    "no version": fielded(line=b"200 OK\r\n"),
    "other protocol": fielded(line=b"ICY 200 OK\r\n"),
    "HTTP/2": fielded(line=b"HTTP/2.0 200 OK\r\n"),
    "version without a minor": fielded(line=b"HTTP/1 200 OK\r\n"),
    "lower-case version": fielded(line=b"http/1.1 200 OK\r\n"),
    "no status": fielded(line=b"HTTP/1.1 OK\r\n"),
    "status of two digits": fielded(line=b"HTTP/1.1 20 OK\r\n"),
    "status of four digits": fielded(line=b"HTTP/1.1 2000 OK\r\n"),
    "status below 100": fielded(line=b"HTTP/1.1 099 OK\r\n"),
    "signed status": fielded(line=b"HTTP/1.1 +20 OK\r\n"),
    "status with letters": fielded(line=b"HTTP/1.1 2xx OK\r\n"),
    "line feed first": b"\n" + EVIL,
    "space in a name": fielded(b"X Y: 1"),
    "NUL before the colon": fielded(b"X\0: 1"),
    "second status line": fielded(b"HTTP/1.1 200 OK"),
    "no colon": fielded(b"X"),
    "no name": fielded(b": 1"),
    "DEL in a name": fielded(b"X\x7f: 1"),
    "head too long": fielded(b"X: " + b"a" * 40_000),
    "two different lengths": fielded(b"Content-Length: 4", b"Content-Length: 5", body=b"abcde"),
    "a list of lengths": fielded(b"Content-Length: 4, 5", body=b"abcde"),
    "signed length": fielded(b"Content-Length: +4", body=b"abcd"),
    "negative length": fielded(b"Content-Length: -4", body=b"abcd"),
    "hexadecimal length": fielded(b"Content-Length: 0x4", body=b"abcd"),
    "empty length": fielded(b"Content-Length:", body=b"abcd"),
    "huge length": fielded(b"Content-Length: " + b"9" * 30, body=b"abcd"),
    "bad length of a 304": fielded(b"Content-Length: -5", line=b"HTTP/1.1 304 Not Modified\r\n"),
    "overlong extension of a chunk": chunked(b"3;" + b"a" * 1_021 + b"\r\nabc\r\n0\r\n\r\n"),
    "unknown coding": fielded(b"Transfer-Encoding: gzip", body=b"abcd"),
    "chunked twice": fielded(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked not last": fielded(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "coding in HTTP/1.0": fielded(b"Transfer-Encoding: chunked", line=OLD, body=b"0\r\n\r\n"),
    "101 without being asked": fielded(b"Upgrade: x", line=b"HTTP/1.1 101 Switching Protocols\r\n"),
    "interim answers without end": fielded(line=b"HTTP/1.1 100 Continue\r\n") * 100,
    "bad head behind an interim answer": HINTS + b"garbage\r\n\r\n",
    "bad first chunk": chunked(b"x\r\nabc\r\n"),
}  # fmt: skip
LENGTH_3 = b"HTTP/1.1 200 OK\nContent-Length: 3\n\n"
MENDED = {  # what the client must get as a body and in X; docs/http.md has the rules
    "space before the colon": (fielded(b"X : 1", THREE, body=b"abc"), b"abc", "1"),  # RFC 9112, 5.1
    "tabs before the colon": (fielded(b"X\t \t: 1", THREE, body=b"abc"), b"abc", "1"),
    "space before the length's colon": (fielded(b"Content-Length : 3", body=b"abcd"), b"abc", None),
    "space before the coding's colon": (
        fielded(b"Transfer-Encoding : chunked", body=b"3\r\nabc\r\n0\r\n\r\n"), b"abc", None,
    ),
    "obs-fold": (fielded(b"X: 1", b" 2", THREE, body=b"abc"), b"abc", "1 2"),  # RFC 9112, 5.2
    "obs-folds with tabs": (fielded(b"X: 1 ", b"\t 2", b" 3", THREE, body=b"abc"), b"abc", "1 2 3"),
    "obs-fold of nothing": (fielded(b"X: 1", b" ", THREE, body=b"abc"), b"abc", "1"),
    "value behind a fold": (fielded(b"Content-Length:", b" 3", body=b"abc"), b"abc", None),
    "colon in a fold": (fielded(b"X: 1", b" Y: 2", THREE, body=b"abc"), b"abc", "1 Y: 2"),
    "space before the first field": (fielded(b" Y: 1", b"X: 2", THREE, body=b"abc"), b"abc", "2"),  # 2.2
    "LF ends every line": (LENGTH_3 + b"abc", b"abc", None),  # RFC 9112, 2.2
    "LF, and the body has an empty line": (
        LENGTH_3.replace(b"3", b"7") + b"a\r\n\r\nbc", b"a\r\n\r\nbc", None,
    ),
    "LF ends some lines": (OK + b"X: 1\n" + THREE + b"\r\n\r\nabc", b"abc", "1"),
    "LF is the empty line": (OK + THREE + b"\r\n\nabc", b"abc", None),
    "CR LF is the empty line": (LENGTH_3[:-1] + b"\r\nabc", b"abc", None),
    "status line ends in LF": (fielded(b"X: 1", THREE, line=b"HTTP/1.1 200 OK\n", body=b"abc"), b"abc", "1"),
    "LF in a value ends it": (fielded(b"X: a\nSet-Cookie: b=c", THREE, body=b"abc"), b"abc", "a"),
    "CR in a value": (fielded(b"X: a\rb", THREE, body=b"abc"), b"abc", "a b"),  # RFC 9110, 5.5
    "CR at the end of a value": (fielded(b"X: a\r", THREE, body=b"abc"), b"abc", "a"),
    "NUL in a value": (fielded(b"X: a\0b", THREE, body=b"abc"), b"abc", "a b"),
    "controls in a value": (fielded(b"X: a\x1b\x7fb", THREE, body=b"abc"), b"abc", "a  b"),
    "two spaces before the status": (fielded(THREE, line=b"HTTP/1.1  200 OK\r\n", body=b"abc"), b"abc", None),
    "tab before the status": (fielded(THREE, line=b"HTTP/1.1\t200 OK\r\n", body=b"abc"), b"abc", None),
    "space before the version": (fielded(THREE, line=b" HTTP/1.1 200 OK\r\n", body=b"abc"), b"abc", None),
    "NUL in the phrase": (fielded(THREE, line=b"HTTP/1.1 200 O\0K\r\n", body=b"abc"), b"abc", None),
    "CR in the phrase": (fielded(THREE, line=b"HTTP/1.1 200 O\rK\r\n", body=b"abc"), b"abc", None),
    "equal lengths": (fielded(THREE, THREE, body=b"abc"), b"abc", None),  # RFC 9112, 6.3, rule 5
    "a list of equal lengths": (fielded(b"Content-Length: 3, 3 ,3", body=b"abc"), b"abc", None),
    "equal lengths of a 304": (fielded(THREE, THREE, line=b"HTTP/1.1 304 Not Modified\r\n"), b"", None),
    "bad length of a 204": (fielded(b"Content-Length: x", line=b"HTTP/1.1 204 No Content\r\n"), b"", None),
    "bad length of an interim answer": (
        fielded(b"Content-Length: x", line=b"HTTP/1.1 103 Early\r\n") + fielded(THREE, body=b"abc"),
        b"abc", None,
    ),
    "length and coding": (  # RFC 9112, 6.3, rule 3
        fielded(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
        b"abc", None,
    ),
    "empty elements among the codings": (  # RFC 9110, 5.6.1
        fielded(b"Transfer-Encoding: , chunked,,", body=b"3\r\nabc\r\n0\r\n\r\n"), b"abc", None,
    ),
    "identity": (fielded(b"Transfer-Encoding: identity", THREE, body=b"abc"), b"abc", None),
    "trailer with a space before its colon": (
        chunked(b"3\r\nabc\r\n0\r\nX : 1\r\nY: 2\r\n 3\r\n\r\n"), b"abc", None,
    ),
}  # fmt: skip
CUT = {  # RFC 9112, 7.1 and 8: what has begun cannot become a 502, but must be seen to break off
    "length is not reached": fielded(b"Content-Length: 10", body=b"abc"),
    "no last chunk": chunked(b"3\r\nabc\r\n"),
    "chunk is not whole": chunked(b"5\r\nabc"),
    "trailers are not whole": chunked(b"3\r\nabc\r\n0\r\nX: 1\r\n"),
}
LATE = {  # the head and a good chunk come first, the bad bytes in a separate segment
    "bad size of a later chunk": b"g\r\n",
    "later chunk without its end": b"3\r\nabcX\r\n",
    "bad trailer": b"0\r\nX Y: 1\r\n\r\n",
    "bare LF behind a later size": b"3\nabc\r\n0\r\n\r\n",
}
GOOD = {  # what the client must get as a body; a second answer behind it must go nowhere
    "length": (fielded(THREE, body=b"abc"), b"abc"),
    "chunks": (chunked(b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"), b"abc"),
    "until the end": (fielded(body=b"abc"), b"abc"),
    "HTTP/1.0": (fielded(line=b"HTTP/1.0 200 OK\r\n", body=b"abc"), b"abc"),
    "later minor version": (fielded(THREE, line=b"HTTP/1.2 200 OK\r\n", body=b"abc"), b"abc"),
    "no phrase": (fielded(THREE, line=b"HTTP/1.1 200 \r\n", body=b"abc"), b"abc"),
    "no phrase and no space": (fielded(THREE, line=b"HTTP/1.1 200\r\n", body=b"abc"), b"abc"),
    "non-ASCII phrase": (fielded(THREE, line=b"HTTP/1.1 200 caf\xe9\r\n", body=b"abc"), b"abc"),
    "interim answers": (
        fielded(line=b"HTTP/1.1 100 Continue\r\n") + HINTS + fielded(THREE, body=b"abc"), b"abc",
    ),
    "unknown status": (fielded(THREE, line=b"HTTP/1.1 799 Odd\r\n", body=b"abc"), b"abc"),
    "more than its length": (fielded(THREE, body=b"abc" + EVIL), b"abc"),
    "more than its chunks": (chunked(b"3\r\nabc\r\n0\r\n\r\n" + EVIL), b"abc"),
    "204 and a body": (fielded(line=b"HTTP/1.1 204 No Content\r\n", body=EVIL), b""),
    "304 and a body": (fielded(THREE, line=b"HTTP/1.1 304 Not Modified\r\n", body=EVIL), b""),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(module_origin):
    def script(asked):
        if asked.target == "/clean":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean"
        for piece in module_origin.pieces:
            if isinstance(piece, threading.Event):
                piece.wait(10.0)
            else:
                asked.sock.sendall(piece)
        return None

    module_origin.script = script
    service = {"web": Service(upstreams=[module_origin.address])}
    with Proxy(route=[Route(to="web")], service=service, limits=Limits(drain="1s")) as proxy:
        yield proxy, module_origin


def is_clean(wire, proxy, client) -> bool:
    return client.ask("/clean").body == wire(proxy).ask("/clean").body == b"clean"


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_malformed_answer_is_a_502(shop, wire, name):
    proxy, origin = shop
    origin.pieces = [BAD_HEADS[name]]
    client = wire(proxy)
    answer = client.ask("/case")
    while answer.status < 200:
        answer = client.answer()
    assert answer.status == 502
    assert answer["Via"] is None, "it is the proxy's own"
    assert is_clean(wire, proxy, client)


@pytest.mark.parametrize("name", CUT)
def test_a_cut_answer_is_cut_for_the_client_too(shop, wire, name):
    proxy, origin = shop
    origin.pieces = [CUT[name]]
    before = proxy.stats()["ends"].get(Termination.UPSTREAM_BROKEN, 0)
    client = wire(proxy).send("GET /case HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.head().status == 200
    rest = client.reader.read()
    assert b"abc" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert len(rest) < 10
    assert proxy.stats()["ends"][Termination.UPSTREAM_BROKEN] == before + 1
    assert is_clean(wire, proxy, wire(proxy))


@pytest.mark.parametrize("name", LATE)
def test_an_answer_that_goes_wrong_later_is_cut(shop, wire, name):
    proxy, origin = shop
    seen = threading.Event()
    origin.pieces = [chunked(b"3\r\nabc\r\n"), seen, LATE[name]]
    client = wire(proxy).send("GET /case HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.head().status == 200
    assert client.reader.read(8) == b"3\r\nabc\r\n"
    seen.set()
    assert not client.reader.read().endswith(b"0\r\n\r\n")
    assert is_clean(wire, proxy, wire(proxy))


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_arrives_and_what_is_behind_it_goes_nowhere(shop, wire, name):
    proxy, origin = shop
    data, body = GOOD[name]
    origin.pieces = [data]
    client = wire(proxy)
    answer = client.ask("/case")
    while answer.status < 200:
        answer = client.answer()
    assert answer.body == body
    assert is_clean(wire, proxy, client)


@pytest.mark.parametrize("at_once", [1_000_000, 5], ids=["in one piece", "in small pieces"])
@pytest.mark.parametrize("name", MENDED)
def test_an_answer_that_can_be_mended_arrives_in_strict_form(shop, wire, name, at_once):
    proxy, origin = shop
    data, body, value = MENDED[name]
    origin.pieces = [data[start : start + at_once] for start in range(0, len(data), at_once)]
    client = wire(proxy)
    answer = client.ask("/case")
    while answer.status < 200:
        answer = client.answer()
    assert (answer.body, answer["X"]) == (body, value)
    assert answer["Via"] == "1.1 proxytwin"
    assert len(answer.all("Content-Length")) + len(answer.all("Transfer-Encoding")) == (answer.status != 204)
    assert is_clean(wire, proxy, client)


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked", b"X: 1"])
def test_an_answer_to_head_has_no_body_whatever_it_says(shop, wire, framing):
    """RFC 9112, 6.3: what comes behind such a head is no part of it, and goes nowhere."""
    proxy, origin = shop
    origin.pieces = [fielded(framing, body=EVIL)]
    client = wire(proxy)
    assert client.ask("/case", "HEAD").status == 200
    assert is_clean(wire, proxy, client)


@pytest.mark.parametrize("length", [b"2, 3", b"3,", b"-5", b"", b"0x3"])
def test_an_answer_to_head_with_a_malformed_length_is_a_502(shop, wire, length):
    """RFC 9112, 6.3: it would go on to the client, and describes no body."""
    proxy, origin = shop
    origin.pieces = [fielded(b"Content-Length: " + length)]
    client = wire(proxy)
    answer = client.ask("/case", "HEAD")
    assert (answer.status, answer["Via"]) == (502, None)
    assert is_clean(wire, proxy, client)


def test_the_corpus_is_as_large_as_it_should_be():
    assert len(BAD_HEADS) + len(CUT) + len(LATE) + len(GOOD) >= 40
