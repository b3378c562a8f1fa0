"""A corpus of requests on real sockets: what is doubtful is refused, and what is behind it is never obeyed.

Every refused request is followed by a second one, `GET /smuggled`. The origin must see neither, and
the connection must end: whoever guesses otherwise can be made to split messages as an attacker likes.
"""

from __future__ import annotations

import contextlib
import socket

import pytest

from realproxy import Limits, Proxy, Route, Service

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"
HOST = b"Host: shop.test\r\n"


def lined(line: bytes) -> bytes:
    return line + b"\r\n" + HOST + b"\r\n"


def fielded(*lines: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: shop.test", *lines]) + b"\r\n\r\n"


def hosted(*hosts: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + b"".join(b"Host: " + host + b"\r\n" for host in hosts) + b"\r\n"


def framed(*lines: bytes, body: bytes = b"0\r\n\r\n", minor: int = 1) -> bytes:
    return fielded(*lines, line=b"POST /framed HTTP/1.%d" % minor) + body


def chunked(body: bytes) -> bytes:
    return framed(b"Transfer-Encoding: chunked", body=body)


REQUEST_LINES = {  # RFC 9112, 3
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 with fields": lined(b"GET /"),
    "no version": lined(b"GET / "),
    "no target": lined(b"GET HTTP/1.1"),
    "no method": lined(b"/ HTTP/1.1"),
    "empty method": lined(b" / HTTP/1.1"),
    "version only": lined(b"HTTP/1.1"),
    "lower-case version": lined(b"GET / http/1.1"),
    "two-digit minor version": lined(b"GET / HTTP/1.10"),
    "two-digit major version": lined(b"GET / HTTP/01.1"),
    "no minor version": lined(b"GET / HTTP/1"),
    "no digit behind the dot": lined(b"GET / HTTP/1."),
    "comma in the version": lined(b"GET / HTTP/1,1"),
    "letter in the version": lined(b"GET / HTTP/1.x"),
    "signed version": lined(b"GET / HTTP/+1.1"),
    "other protocol": lined(b"GET / HTTPS/1.1"),
    "misspelt protocol": lined(b"GET / HTP/1.1"),
    "space in the version": lined(b"GET / HTTP/ 1.1"),
    "two versions": lined(b"GET / HTTP/1.1 HTTP/1.1"),
    "space behind the version": lined(b"GET / HTTP/1.1 "),
    "tab behind the version": lined(b"GET / HTTP/1.1\t"),
    "two spaces behind the method": lined(b"GET  / HTTP/1.1"),
    "two spaces before the version": lined(b"GET /  HTTP/1.1"),
    "tab behind the method": lined(b"GET\t/ HTTP/1.1"),
    "tab before the version": lined(b"GET /\tHTTP/1.1"),
    "vertical tab as a space": lined(b"GET\x0b/ HTTP/1.1"),
    "form feed as a space": lined(b"GET /\x0cHTTP/1.1"),
    "carriage return as a space": lined(b"GET\r/ HTTP/1.1"),
    "no-break space as a space": lined(b"GET\xa0/ HTTP/1.1"),
    "space before the method": lined(b" GET / HTTP/1.1"),
    "tab before the method": lined(b"\tGET / HTTP/1.1"),
    "NUL before the method": lined(b"\0GET / HTTP/1.1"),
    "line feed before the method": b"\n" + lined(b"GET / HTTP/1.1"),
    "line ends in LF": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "line ends in CR": b"GET / HTTP/1.1\r" + HOST + b"\r\n",
    "line ends in CR CR LF": b"GET / HTTP/1.1\r\r\n" + HOST + b"\r\n",
    "NUL in the method": lined(b"GE\0T / HTTP/1.1"),
    "colon in the method": lined(b"GET: / HTTP/1.1"),
    "bracket in the method": lined(b"GET( / HTTP/1.1"),
    "comma in the method": lined(b"GE,T / HTTP/1.1"),
    "quotes around the method": lined(b'"GET" / HTTP/1.1'),
    "non-ASCII method": lined(b"G\xcbT / HTTP/1.1"),
    "TLS instead": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
TARGETS = {  # RFC 9112, 3.2
    "space in the target": lined(b"GET /a b HTTP/1.1"),
    "NUL in the target": lined(b"GET /a\0b HTTP/1.1"),
    "DEL in the target": lined(b"GET /a\x7fb HTTP/1.1"),
    "CR in the target": lined(b"GET /a\rb HTTP/1.1"),
    "LF in the target": lined(b"GET /a\nb HTTP/1.1"),
    "non-ASCII target": lined(b"GET /caf\xc3\xa9 HTTP/1.1"),
    "target without a slash": lined(b"GET a HTTP/1.1"),
    "target that is a host": lined(b"GET shop.test HTTP/1.1"),
    "target that is host and port": lined(b"GET shop.test:80 HTTP/1.1"),
    "target that is a query": lined(b"GET ?a=b HTTP/1.1"),
    "asterisk with GET": lined(b"GET * HTTP/1.1"),
    "asterisk and more with OPTIONS": lined(b"OPTIONS ** HTTP/1.1"),
    "fragment": lined(b"GET /a#b HTTP/1.1"),
    "fragment behind a query": lined(b"GET /a?b#c HTTP/1.1"),
    "fragment in absolute-form": lined(b"GET http://shop.test/#a HTTP/1.1"),
    "percent sign alone": lined(b"GET /% HTTP/1.1"),
    "percent sign and one digit": lined(b"GET /%a HTTP/1.1"),
    "percent sign and no digits": lined(b"GET /%zz HTTP/1.1"),
    "percent sign and a sign": lined(b"GET /%+1 HTTP/1.1"),
    "encoded NUL": lined(b"GET /%00 HTTP/1.1"),
    "absolute-form without a host": lined(b"GET http:///a HTTP/1.1"),
    "absolute-form with a port alone": lined(b"GET http://:80/a HTTP/1.1"),
    "absolute-form with a user": lined(b"GET http://me@shop.test/ HTTP/1.1"),
    "absolute-form with a password": lined(b"GET http://me:secret@shop.test/ HTTP/1.1"),
    "absolute-form with a bad port": lined(b"GET http://shop.test:8x/ HTTP/1.1"),
    "absolute-form with a large port": lined(b"GET http://shop.test:65536/ HTTP/1.1"),
    "absolute-form with half a percent sign": lined(b"GET http://shop%7/ HTTP/1.1"),
    "absolute-form with an encoded NUL": lined(b"GET http://shop%00.test/ HTTP/1.1"),
    "https in absolute-form": lined(b"GET https://shop.test/ HTTP/1.1"),
    "absolute-form with half a bracket": lined(b"GET http://[::1/ HTTP/1.1"),
    "absolute-form with a backslash": lined(b"GET http://shop.test\\@evil.test/ HTTP/1.1"),
    "absolute-form with one slash": lined(b"GET http:/shop.test/ HTTP/1.1"),
    "scheme alone": lined(b"GET http: HTTP/1.1"),
    "no scheme": lined(b"GET ://shop.test/ HTTP/1.1"),
    "CONNECT to a path": lined(b"CONNECT / HTTP/1.1"),
    "CONNECT without a port": lined(b"CONNECT shop.test HTTP/1.1"),
    "CONNECT with an empty port": lined(b"CONNECT shop.test: HTTP/1.1"),
    "CONNECT to a URL": lined(b"CONNECT http://shop.test:443/ HTTP/1.1"),
    "CONNECT to a bad percent sign": lined(b"CONNECT shop%zz:443 HTTP/1.1"),
    "CONNECT to an encoded NUL": lined(b"CONNECT shop.test%00:443 HTTP/1.1"),
    "CONNECT to a large port": lined(b"CONNECT shop.test:65536 HTTP/1.1"),
}
HOSTS = {  # RFC 9112, 3.2; RFC 9110, 7.2
    "no Host": b"GET / HTTP/1.1\r\nX: 1\r\n\r\n",
    "no fields": b"GET / HTTP/1.1\r\n\r\n",
    "no Host in absolute-form": b"GET http://shop.test/ HTTP/1.1\r\nX: 1\r\n\r\n",
    "empty Host": hosted(b""),
    "two Hosts": hosted(b"shop.test", b"evil.test"),
    "the same Host twice": hosted(b"shop.test", b"shop.test"),
    "an empty second Host": hosted(b"shop.test", b""),
    "a second Host in other letters": b"GET / HTTP/1.1\r\nHost: shop.test\r\nhOST: evil.test\r\n\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "a list of Hosts": hosted(b"shop.test, evil.test"),
    "space in Host": hosted(b"shop test"),
    "tab in Host": hosted(b"shop\ttest"),
    "path in Host": hosted(b"shop.test/a"),
    "query in Host": hosted(b"shop.test?a"),
    "fragment in Host": hosted(b"shop.test#a"),
    "user in Host": hosted(b"me@shop.test"),
    "URL as Host": hosted(b"http://shop.test"),
    "quotes around Host": hosted(b'"shop.test"'),
    "backslash in Host": hosted(b"shop.test\\a"),
    "letters in Host's port": hosted(b"shop.test:80x"),
    "sign in Host's port": hosted(b"shop.test:-80"),
    "Host's port is too large": hosted(b"shop.test:65536"),
    "two ports in Host": hosted(b"shop.test:80:80"),
    "IPv6 without brackets": hosted(b"::1"),
    "IPv6 with half a bracket": hosted(b"[::1"),
    "IPv6 that is none": hosted(b"[1::2::3]"),
    "text behind the bracket": hosted(b"[::1]a"),
    "non-ASCII Host": hosted(b"caf\xc3\xa9.test"),
    "percent sign at the end of Host": hosted(b"shop.test%"),
    "percent sign and one digit in Host": hosted(b"shop%a.test"),
    "percent sign and no digits in Host": hosted(b"shop%zz.test"),
    "encoded NUL in Host": hosted(b"shop.test%00.evil.test"),
    "encoded NUL in Host, behind a port": hosted(b"shop%41%00:80"),
    "NUL in Host": hosted(b"shop.test\0.evil.test"),
    "space before Host's colon": b"GET / HTTP/1.1\r\nHost : shop.test\r\n\r\n",
    "folded Host": b"GET / HTTP/1.1\r\nHost: shop.test\r\n .evil.test\r\n\r\n",
}
FIELDS = {  # RFC 9112, 5; RFC 9110, 5
    "space before the colon": fielded(b"X : 1"),
    "tab before the colon": fielded(b"X\t: 1"),
    "space in a name": fielded(b"X Y: 1"),
    "space before the first name": b"GET / HTTP/1.1\r\n X: 1\r\n" + HOST + b"\r\n",
    "tab before the first name": b"GET / HTTP/1.1\r\n\tX: 1\r\n" + HOST + b"\r\n",
    "obs-fold with a space": fielded(b"X: 1", b" 2"),
    "obs-fold with a tab": fielded(b"X: 1", b"\t2"),
    "obs-fold of nothing": fielded(b"X: 1", b" "),
    "no colon": fielded(b"X"),
    "no name": fielded(b": 1"),
    "colon alone": fielded(b":"),
    "NUL in a name": fielded(b"X\0Y: 1"),
    "NUL in a value": fielded(b"X: a\0b"),
    "NUL as a value": fielded(b"X: \0"),
    "CR in a value": fielded(b"X: a\rb"),
    "CR at the end of a value": fielded(b"X: a\r"),
    "LF in a value": fielded(b"X: a\nY: b"),
    "LF LF ends the head": b"GET / HTTP/1.1\nHost: shop.test\n\n",
    "CR LF LF ends the head": b"GET / HTTP/1.1\r\n" + HOST + b"\n",
    "CR CR LF ends a line": b"GET / HTTP/1.1\r\nHost: shop.test\r\r\n\r\n",
    "vertical tab in a value": fielded(b"X: a\x0bb"),
    "backspace in a value": fielded(b"X: a\x08b"),
    "escape in a value": fielded(b"X: a\x1bb"),
    "DEL in a value": fielded(b"X: a\x7fb"),
    "non-ASCII name": fielded(b"caf\xe9: 1"),
    **{f"{char} in a name": fielded(b"X%bY: 1" % char.encode()) for char in '(),/;<=>?@[\\]{}"'},
}
LENGTHS = {  # RFC 9112, 6.3; RFC 9110, 8.6
    f"Content-Length: {text.decode('latin-1')!r}": framed(b"Content-Length: " + text)
    for text in (
        b"", b"+5", b"-5", b"-0", b"0x5", b"5h", b"5_0", b"5.0", b"5e0", b"5 0", b"5,", b",5", b"5, 5",
        b"5, 6", b"5;5", b'"5"', b"five", b"\xb2", b"\xd9\xa5", b"9" * 19, b"9" * 400,
        b"-9223372036854775808",        b"18446744073709551621", b"0\x0b", b"5\0",
    )
} | {
    "two equal lengths": framed(b"Content-Length: 5", b"Content-Length: 5"),
    "two different lengths": framed(b"Content-Length: 5", b"Content-Length: 6"),
    "two lengths in different letters": framed(b"Content-Length: 5", b"content-length: 0"),
    "a length and an empty one": framed(b"Content-Length: 5", b"Content-Length:"),
    "underscore in the name of the length": framed(b"Content_Length: 5"),
    "both names of the length": framed(b"Content-Length: 5", b"Content_Length: 0"),
    "space before the colon of the length": framed(b"Content-Length : 5"),
    "a length behind a fold": framed(b"Content-Length:", b" 5"),
}  # fmt: skip
CODINGS = {  # RFC 9112, 6.1, 6.3 and 7
    "coding and length": framed(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "length and coding": framed(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "coding and a length of zero": framed(b"Transfer-Encoding: chunked", b"Content-Length: 0"),
    "unknown coding and length": framed(b"Transfer-Encoding: x", b"Content-Length: 5"),
    "coding in HTTP/1.0": framed(b"Transfer-Encoding: chunked", minor=0),
    "coding in HTTP/1.0, kept alive": framed(
        b"Connection: keep-alive", b"Transfer-Encoding: chunked", minor=0
    ),
    "underscore in the name of the coding": framed(b"Transfer_Encoding: chunked"),
    "space before the colon of the coding": framed(b"Transfer-Encoding : chunked"),
    "tab before the colon of the coding": framed(b"Transfer-Encoding\t: chunked"),
    "NUL in the name of the coding": framed(b"Transfer-\0Encoding: chunked"),
    "folded coding": framed(b"Transfer-Encoding:", b" chunked"),
    "coding behind a bare CR": framed(b"X: 1\rTransfer-Encoding: chunked"),
    "coding behind a bare LF": framed(b"X: 1\nTransfer-Encoding: chunked"),
    "two lines, chunked twice": framed(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "two lines, chunked and identity": framed(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
} | {
    f"Transfer-Encoding: {text.decode('latin-1')!r}": framed(b"Transfer-Encoding: " + text)
    for text in (
        b"", b"identity", b"gzip", b"x", b"xchunked", b"chunkedx", b"chunked, gzip", b"chunked, identity",
        b"chunked, chunked", b"chunked;q=1", b'"chunked"', b"chunked,", b"'chunked'", b"chun ked",
        b"\x0bchunked", b"chunked\x0c", b"chunked\0", b"cow",
    )
}  # fmt: skip
CHUNKS = {  # RFC 9112, 7.1
    "no size": chunked(b"\r\nabc\r\n0\r\n\r\n"),
    "size is no number": chunked(b"g\r\nabc\r\n0\r\n\r\n"),
    "signed size": chunked(b"+3\r\nabc\r\n0\r\n\r\n"),
    "negative size": chunked(b"-3\r\nabc\r\n0\r\n\r\n"),
    "size with 0x": chunked(b"0x3\r\nabc\r\n0\r\n\r\n"),
    "size with an underscore": chunked(b"0_3\r\nabc\r\n0\r\n\r\n"),
    "size with a dot": chunked(b"3.0\r\nabc\r\n0\r\n\r\n"),
    "size beyond 64 bits": chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    "space before the size": chunked(b" 3\r\nabc\r\n0\r\n\r\n"),
    "space behind the size": chunked(b"3 \r\nabc\r\n0\r\n\r\n"),
    "tab behind the size": chunked(b"3\t\r\nabc\r\n0\r\n\r\n"),
    "LF behind the size": chunked(b"3\nabc\r\n0\r\n\r\n"),
    "CR behind the size": chunked(b"3\rabc\r\n0\r\n\r\n"),
    "CR CR LF behind the size": chunked(b"3\r\r\nabc\r\n0\r\n\r\n"),
    "bare LF in an extension": chunked(b"3;a\nabc\r\n0\r\n\r\n"),
    "bare CR in an extension": chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    "NUL in an extension": chunked(b"3;\0\r\nabc\r\n0\r\n\r\n"),
    "extension without a name": chunked(b"3;\r\nabc\r\n0\r\n\r\n"),
    "extension without a value": chunked(b"3;a=\r\nabc\r\n0\r\n\r\n"),
    "extension with an open quote": chunked(b'3;a="b\r\nabc\r\n0\r\n\r\n'),
    "extension without a semicolon": chunked(b"3 a\r\nabc\r\n0\r\n\r\n"),
    "overlong extension": chunked(b"3;" + b"a" * 20_000 + b"\r\nabc\r\n0\r\n\r\n"),
    "extension a byte too long": chunked(b"3;" + b"a" * 1021 + b"\r\nabc\r\n0\r\n\r\n"),
    "later extension a byte too long": chunked(b"3\r\nabc\r\n3;" + b"a" * 1021 + b"\r\nabc\r\n0\r\n\r\n"),
    "data longer than the size": chunked(b"3\r\nabcd\r\n0\r\n\r\n"),
    "data shorter than the size": chunked(b"5\r\nabc\r\n0\r\n\r\n"),
    "no end behind the data": chunked(b"3\r\nabc0\r\n\r\n"),
    "LF behind the data": chunked(b"3\r\nabc\n0\r\n\r\n"),
    "CR behind the data": chunked(b"3\r\nabc\r0\r\n\r\n"),
    "signed last chunk": chunked(b"-0\r\n\r\n"),
    "LF behind the last size": chunked(b"0\n\r\n"),
    "LF ends the trailers": chunked(b"0\r\n\n"),
    "space before a trailer's colon": chunked(b"0\r\nX : 1\r\n\r\n"),
    "folded trailer": chunked(b"0\r\nX: 1\r\n 2\r\n\r\n"),
    "trailer without a colon": chunked(b"0\r\nX\r\n\r\n"),
    "NUL in a trailer": chunked(b"0\r\nX: a\0b\r\n\r\n"),
    "overlong trailers": chunked(b"0\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"),
}
OTHERS = {
    "head too long": fielded(b"X: " + b"a" * 40_000),
    "too many fields": fielded(*[b"X: 1"] * 8_000),
    "target too long": lined(b"GET /" + b"a" * 40_000 + b" HTTP/1.1"),
    "TRACE with a body": framed(b"Content-Length: 5").replace(b"POST", b"TRACE"),  # RFC 9110, 9.3.8
    "empty lines without end": b"\r\n" * 33 + lined(b"GET / HTTP/1.1"),  # RFC 9112, 2.2
    "Max-Forwards is negative": fielded(b"Max-Forwards: -1", line=b"OPTIONS / HTTP/1.1"),
    "Max-Forwards is empty": fielded(b"Max-Forwards:", line=b"OPTIONS / HTTP/1.1"),
    "two Max-Forwards": fielded(b"Max-Forwards: 5", b"Max-Forwards: 5", line=b"OPTIONS / HTTP/1.1"),
    "Max-Forwards is no number": fielded(b"Max-Forwards: x", line=b"OPTIONS / HTTP/1.1"),
    "CONNECT to a reverse proxy": lined(b"CONNECT shop.test:443 HTTP/1.1"),
}
REFUSED = REQUEST_LINES | TARGETS | HOSTS | FIELDS | LENGTHS | CODINGS | CHUNKS | OTHERS
STATUS = {
    "https in absolute-form": 501,
    "HTTP/2 preface": 505,
    "head too long": 431,
    "too many fields": 431,
    "target too long": 414,
    "CONNECT to a reverse proxy": 405,
}
"""Where it is not 400."""
SHORT = [name for name, data in REFUSED.items() if len(data) < 2_000]

FIVE = b"hello"
TOKEN = b"!#$%&'*+-.^_`|~09azAZ"
ACCEPTED = {  # what was sent; method, target and body as the origin must see them
    "plain": (lined(b"GET / HTTP/1.1"), b"GET", b"/", b""),
    "minor version above ours": (lined(b"GET / HTTP/1.9"), b"GET", b"/", b""),  # RFC 9110, 2.5
    "HTTP/1.0": (lined(b"GET / HTTP/1.0"), b"GET", b"/", b""),
    "HTTP/1.0 without Host": (b"GET / HTTP/1.0\r\n\r\n", b"GET", b"/", b""),
    "empty line first": (b"\r\n" + lined(b"GET / HTTP/1.1"), b"GET", b"/", b""),  # RFC 9112, 2.2
    "a few empty lines first": (b"\r\n" * 32 + lined(b"GET / HTTP/1.1"), b"GET", b"/", b""),
    "empty line behind a body": (
        framed(b"Content-Length: 5", body=FIVE + b"\r\n"), b"POST", b"/framed", FIVE,
    ),
    "unknown method": (lined(b"BREW /pot HTTP/1.1"), b"BREW", b"/pot", b""),
    "every character of a token": (lined(TOKEN + b" / HTTP/1.1"), TOKEN, b"/", b""),
    "lower-case method": (lined(b"get / HTTP/1.1"), b"get", b"/", b""),  # methods have a case
    "query": (lined(b"GET /a?b=c&d HTTP/1.1"), b"GET", b"/a?b=c&d", b""),
    "empty query": (lined(b"GET /a? HTTP/1.1"), b"GET", b"/a?", b""),
    "question marks in the query": (lined(b"GET /?a?b HTTP/1.1"), b"GET", b"/?a?b", b""),
    "encoded characters": (lined(b"GET /%2e%2F%c3%A9 HTTP/1.1"), b"GET", b"/%2e%2F%c3%A9", b""),
    "percent sign in the query": (lined(b"GET /?100% HTTP/1.1"), b"GET", b"/?100%", b""),
    "dots in the path": (lined(b"GET /a/../b HTTP/1.1"), b"GET", b"/a/../b", b""),
    "two slashes": (lined(b"GET //a HTTP/1.1"), b"GET", b"//a", b""),
    "what browsers send unencoded": (lined(b"GET /|[]{}^` HTTP/1.1"), b"GET", b"/|[]{}^`", b""),
    "a URL in the path": (lined(b"GET /http://a/ HTTP/1.1"), b"GET", b"/http://a/", b""),
    "absolute-form": (lined(b"GET http://shop.test/a?b HTTP/1.1"), b"GET", b"/a?b", b""),
    "absolute-form without a path": (lined(b"GET http://shop.test HTTP/1.1"), b"GET", b"/", b""),
    "absolute-form with a query alone": (lined(b"GET http://shop.test?a HTTP/1.1"), b"GET", b"/?a", b""),
    "absolute-form in capitals": (lined(b"GET HTTP://SHOP.TEST/A HTTP/1.1"), b"GET", b"/A", b""),
    "OPTIONS of a host": (lined(b"OPTIONS http://shop.test HTTP/1.1"), b"OPTIONS", b"*", b""),
    "OPTIONS of a host's root": (lined(b"OPTIONS http://shop.test/ HTTP/1.1"), b"OPTIONS", b"/", b""),
    "OPTIONS of a query": (lined(b"OPTIONS http://shop.test?a HTTP/1.1"), b"OPTIONS", b"/?a", b""),
    "asterisk-form": (lined(b"OPTIONS * HTTP/1.1"), b"OPTIONS", b"*", b""),
    "port in Host": (hosted(b"shop.test:8080"), b"GET", b"/", b""),
    "empty port in Host": (hosted(b"shop.test:"), b"GET", b"/", b""),
    "IPv4 in Host": (hosted(b"192.0.2.1"), b"GET", b"/", b""),
    "IPv6 in Host": (hosted(b"[2001:db8::1]:80"), b"GET", b"/", b""),
    "Host in capitals": (hosted(b"SHOP.TEST"), b"GET", b"/", b""),
    "encoded characters in Host": (hosted(b"caf%C3%a9.test"), b"GET", b"/", b""),
    "underscore in Host": (hosted(b"my_shop.test"), b"GET", b"/", b""),
    "spaces around a value": (fielded(b"X: \t a \t "), b"GET", b"/", b""),
    "no space behind the colon": (fielded(b"X:a"), b"GET", b"/", b""),
    "empty value": (fielded(b"X:"), b"GET", b"/", b""),
    "obs-text in a value": (fielded(b"X: caf\xe9"), b"GET", b"/", b""),
    "colons in a value": (fielded(b"X: a:b: c"), b"GET", b"/", b""),
    "the same field often": (fielded(*[b"X: 1"] * 200), b"GET", b"/", b""),
    "every character of a name": (fielded(TOKEN + b": 1"), b"GET", b"/", b""),
    "unknown expectation": (fielded(b"Expect: rain"), b"GET", b"/", b""),
    "expectation in HTTP/1.0": (
        framed(b"Expect: 100-continue", b"Content-Length: 5", body=FIVE, minor=0), b"POST", b"/framed", FIVE,
    ),
    "length": (framed(b"Content-Length: 5", body=FIVE), b"POST", b"/framed", FIVE),
    "length with zeros": (framed(b"Content-Length: 0005", body=FIVE), b"POST", b"/framed", FIVE),
    "length in spaces": (framed(b"Content-Length: \t5\t ", body=FIVE), b"POST", b"/framed", FIVE),
    "length of zero": (framed(b"Content-Length: 0", body=b""), b"POST", b"/framed", b""),
    "length in HTTP/1.0": (framed(b"Content-Length: 5", body=FIVE, minor=0), b"POST", b"/framed", FIVE),
    "body of GET": (
        framed(b"Content-Length: 5", body=FIVE).replace(b"POST", b"GET"), b"GET", b"/framed", FIVE,
    ),
    "one chunk": (chunked(b"5\r\nhello\r\n0\r\n\r\n"), b"POST", b"/framed", FIVE),
    "two chunks": (chunked(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), b"POST", b"/framed", FIVE),
    "no chunk": (chunked(b"0\r\n\r\n"), b"POST", b"/framed", b""),
    "size in capitals": (chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), b"POST", b"/framed", b"0123456789"),
    "size with zeros": (chunked(b"00005\r\nhello\r\n000\r\n\r\n"), b"POST", b"/framed", FIVE),
    "extensions": (chunked(b'5;a;b=c ; d = "e\\";\t"\r\nhello\r\n0;f\r\n\r\n'), b"POST", b"/framed", FIVE),
    "longest extension": (
        chunked(b"5;" + b"a" * 1020 + b"\r\nhello\r\n0;" + b"a" * 1020 + b"\r\n\r\n"),
        b"POST", b"/framed", FIVE,
    ),
    "trailers": (chunked(b"5\r\nhello\r\n0\r\nX: 1\r\nY:2\r\n\r\n"), b"POST", b"/framed", FIVE),
    "framing in trailers": (
        chunked(b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"), b"POST", b"/framed", FIVE,
    ),
    "line ends in the data": (chunked(b"5\r\n\r\n0\r\n\r\n0\r\n\r\n"), b"POST", b"/framed", b"\r\n0\r\n"),
    "coding in capitals": (
        framed(b"TRANSFER-ENCODING: CHUNKED", body=b"5\r\nhello\r\n0\r\n\r\n"), b"POST", b"/framed", FIVE,
    ),
    "length among what Connection lists": (
        framed(b"Connection: content-length", b"Content-Length: 5", body=FIVE), b"POST", b"/framed", FIVE,
    ),
    "coding among what Connection lists": (
        chunked(b"5\r\nhello\r\n0\r\n\r\n").replace(b"Host:", b"Connection: transfer-encoding\r\nHost:"),
        b"POST", b"/framed", FIVE,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(module_origin):
    service = {"web": Service(upstreams=[module_origin.address])}
    with Proxy(route=[Route(to="web")], service=service, limits=Limits(drain="1s")) as proxy:
        yield proxy, module_origin


def talk(port: int, data: bytes, at_once: int = 1_000_000) -> bytes:
    """All that comes back until the proxy closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):  # refused before all of it was sent
            for start in range(0, len(data), at_once):
                sock.sendall(data[start : start + at_once])
        answer = b""
        with contextlib.suppress(ConnectionError):
            while got := sock.recv(65536):
                answer += got
    return answer


def nothing_whole(origin) -> bool:
    """The origin has at most heads of bodies that never end."""
    return all(asked.target == "/framed" and not asked.whole for asked in origin.asked)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_doubtful_is_refused_and_nothing_behind_it_is_obeyed(shop, name):
    proxy, origin = shop
    origin.asked.clear()
    answer = talk(proxy.port, REFUSED[name] + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 %d " % STATUS.get(name, 400))
    assert b"\nHTTP/1.1 " not in answer
    assert b"\r\nConnection: close\r\n" in answer
    assert nothing_whole(origin) and (origin.asked == [] or name not in SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_the_same_is_refused_when_it_arrives_in_small_pieces(shop, name):
    proxy, origin = shop
    origin.asked.clear()
    answer = talk(proxy.port, REFUSED[name] + SMUGGLED, at_once=7)
    assert answer.startswith(b"HTTP/1.1 %d " % STATUS.get(name, 400))
    assert nothing_whole(origin)


@pytest.mark.parametrize("at_once", [1_000_000, 7], ids=["in one piece", "in small pieces"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_right_arrives_as_it_was_meant(shop, name, at_once):
    proxy, origin = shop
    origin.asked.clear()
    data, method, target, body = ACCEPTED[name]
    second = b"GET /second HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
    answer = talk(proxy.port, data + second, at_once)
    seen = [(asked.method.encode(), asked.target.encode(), asked.body) for asked in origin.asked]
    expected = [(method, target, body)]
    if b"HTTP/1.0" not in data:
        expected.append((b"GET", b"/second", b""))
    assert seen == expected
    assert answer.count(b"HTTP/1.1 200") == len(expected)


def test_the_corpus_is_as_large_as_it_should_be():
    assert len(REFUSED) + len(ACCEPTED) >= 150
