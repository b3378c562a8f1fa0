"""Request heads: the request line with its target, and the rules for Host and framing."""

from __future__ import annotations

import ipaddress
import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from realproxy.http1.fields import REMEMBERED, SHORT, TOKEN, Fields, Malformed, parse_fields
from realproxy.http1.framing import is_persistent, request_framing

# request-line = method SP request-target SP HTTP-version                              RFC 9112, 3
# HTTP-version = HTTP-name "/" DIGIT "." DIGIT                                         RFC 9112, 2.3
# A minor version above ours is read as ours.                                          RFC 9110, 2.5
_LINE = re.compile(rb"(" + TOKEN + rb"++) ([!-~]++) HTTP/1\.([0-9])\r\n")
_OTHER_VERSION = re.compile(TOKEN + rb"++ [!-~]++ HTTP/[0-9]\.[0-9]\r\n")
# origin-form   = absolute-path [ "?" query ]                                          RFC 9112, 3.2.1
# Characters that browsers send unencoded (such as | and []) are allowed, a fragment is not. In the path a
# percent sign needs two hexadecimal digits, and %00 is refused: where parsers disagree, routes are bypassed.
_PLAIN_PATH = re.compile(rb"/[!\"$&-~]*+")
_WRONG_PATH = re.compile(rb"#|%(?![0-9A-Fa-f]{2})|%00")
_WITH_RULES = frozenset({"CONNECT", "TRACE"})
# uri-host      = IP-literal / IPv4address / reg-name                                  RFC 3986, 3.2.2
# authority     = uri-host [ ":" port ]; userinfo is refused                           RFC 9110, 4.2.4
_HOST = rb"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9\-._~%!$&'()*+,;=]++)"
_AUTHORITY = re.compile(_HOST + rb"(?::([0-9]*+))?")
_WRONG_HOST = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")
# absolute-form = absolute-URI                                                         RFC 9112, 3.2.2
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*+)://([^/?#]*+)((?:[/?].*+)?)")


class TargetForm(Enum):
    """The four forms of a request target. RFC 9112, 3.2"""

    ORIGIN = "origin"
    ABSOLUTE = "absolute"
    AUTHORITY = "authority"
    ASTERISK = "asterisk"


_ORIGIN = TargetForm.ORIGIN  # to name a member by its class is slow before Python 3.12


class FieldBlock(NamedTuple):
    """The checked field lines of a request, and what follows from them alone; see `RequestHead`."""

    fields: Fields
    framing: int
    host: bytes
    hostname: str
    port: int
    authority: bytes
    keeps_alive: bool


def check_block(fields: Fields, minor: int) -> FieldBlock:
    """Check the fields of a request of HTTP/1.`minor`; raises `Malformed` 400 or 501."""
    framing = request_framing(fields, minor)
    authority = fields.get(b"host")
    if authority is None and minor == 1:
        raise Malformed(400, "Host is missing")
    host, port = parse_authority(authority) if authority is not None else (b"", 80)
    keeps_alive = is_persistent(fields, minor)
    fields = fields.without_connection_options()
    if minor == 0 and b"100-continue" in fields.elements(b"expect"):  # RFC 9110, 10.1.1: to be ignored
        fields = fields.without(frozenset({b"expect"}))
    return FieldBlock(fields, framing, host, _hostname(host), port, _authority(host, port), keeps_alive)


@lru_cache(REMEMBERED)
def _read_block(block: bytes, minor: int) -> FieldBlock:
    return check_block(parse_fields(block, 0, len(block)), minor)


class RequestHead:
    """A checked request head.

    `method` and `target` are as sent; `minor` is 0 for HTTP/1.0, and 1 for HTTP/1.1 and above. `fields` lack
    the lines that Connection lists, and Expect in HTTP/1.0. `host` and `port` are those of the target or else
    of Host. The host is in lower case, with IPv6 in brackets, and empty if HTTP/1.0 names none. `hostname`
    lacks the brackets. `authority` is the host, with the port unless that is 80. `path` is the absolute path
    with the query. It is empty in authority-form, and ``*`` in asterisk-form and for OPTIONS of an absolute
    URI with neither path nor query. The reader of a connection with TLS sets `scheme` to ``https``.
    """

    __slots__ = (
        "authority", "begins_trace", "fields", "form", "framing", "host", "hostname", "keeps_alive", "method",
        "minor", "origin", "path", "port", "proto", "scheme", "target", "traceparent",
    )  # fmt: skip

    def __init__(self, method: str, target: bytes, minor: int, block: FieldBlock) -> None:
        self.method, self.target, self.minor = method, target, minor
        self.fields, self.framing, self.host, self.hostname, self.port, self.authority, self.keeps_alive = (
            block
        )
        self.form, self.scheme = _ORIGIN, b"http"
        self.proto: str | None = None  # the scheme, as a trusted proxy in front reports it
        self.origin: str | None = None  # the host, as a trusted proxy in front reports it
        self.traceparent: str | None = None  # replaces the request's own; None keeps that
        self.begins_trace = False  # its tracestate is dropped
        self.path = target
        if method in _WITH_RULES or _PLAIN_PATH.fullmatch(target) is None:
            self._check_target()

    def _check_target(self) -> None:
        if self.target[0] != 47 or self.method == "CONNECT":  # 47 is a slash
            self._read_other_form()
        path, _, query = self.path.partition(b"?")
        if _WRONG_PATH.search(path) is not None or b"#" in query:
            raise Malformed(400, "bad request target")
        if self.method == "TRACE" and self.framing != 0:  # RFC 9110, 9.3.8
            raise Malformed(400, "TRACE with a body")

    def _read_other_form(self) -> None:
        if self.method == "CONNECT":
            self.form, self.path = TargetForm.AUTHORITY, b""
            if not self.target.rpartition(b":")[2].isdigit():
                raise Malformed(400, "CONNECT needs host:port")
            self._go_to(self.target)
        elif self.target == b"*" and self.method == "OPTIONS":
            self.form = TargetForm.ASTERISK
        else:
            found = _ABSOLUTE.fullmatch(self.target)
            if found is None:
                raise Malformed(400, "bad request target")
            if found[1].lower() not in (b"http", b"https"):
                raise Malformed(501, f"scheme {found[1].decode()} is not supported")
            self.form = TargetForm.ABSOLUTE
            self._go_to(found[2])
            if self.method == "OPTIONS" and not found[3]:
                self.path = b"*"  # RFC 9112, 3.2.4
            else:
                self.path = found[3] if found[3].startswith(b"/") else b"/" + found[3]

    def _go_to(self, authority: bytes) -> None:
        """Take the authority of the target in place of Host. RFC 9112, 3.2.2"""
        self.host, self.port = parse_authority(authority)
        self.hostname = _hostname(self.host)
        self.authority = _authority(self.host, self.port)


def _hostname(host: bytes) -> str:
    return host.decode().removeprefix("[").removesuffix("]")


def _authority(host: bytes, port: int) -> bytes:
    return host if port == 80 else b"%b:%d" % (host, port)


def parse_authority(text: bytes) -> tuple[bytes, int]:
    """Host in lower case, and port (80 by default); raises `Malformed` 400."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise Malformed(400, "bad host")
    host, digits = found.groups()
    if b"%" in host and _WRONG_HOST.search(host) is not None:
        raise Malformed(400, "bad host")
    if host[0] == 91 and not _is_ipv6(host[1:-1]):  # 91 is an opening bracket
        raise Malformed(400, "bad host")
    port = (int(digits) if len(digits) < 6 else 65536) if digits else 80
    if port > 65535:
        raise Malformed(400, "bad port")
    return host.lower(), port


def _is_ipv6(text: bytes) -> bool:
    try:
        ipaddress.IPv6Address(text.decode())
    except ValueError:
        return False
    return True


def parse_request(head: bytes) -> RequestHead:
    """Parse a whole request head, with its empty line; raises `Malformed` 400, 501 or 505."""
    found = _LINE.match(head)
    if found is None:
        if _OTHER_VERSION.match(head) is not None:
            raise Malformed(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        raise Malformed(400, "bad request line")
    method, target, digit = found.groups()
    minor = 0 if digit == b"0" else 1
    lines = head[found.end() : -2]
    read = _read_block if len(lines) <= SHORT else _read_block.__wrapped__
    return RequestHead(method.decode(), target, minor, read(lines, minor))


# A head contains no bare CR or LF, and no other control character except HTAB.
_WRONG = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")


def check_partial(data: bytes, start: int, limit: int) -> None:
    """Refuse an incomplete head that can never become a good one.

    The first `start` bytes were checked before. Raises `Malformed`: 400 for garbage, 414 or 431 for
    a head of more than `limit` bytes.
    """
    wrong = _WRONG.search(data, max(0, start - 1))
    if wrong is not None:
        # RFC 9112, 2.2 allows to take LF alone for the end of a line; why not, see `mending`.
        alone = wrong[0] == b"\n" and wrong.start() > 0
        problem = "a line ends with LF instead of CR LF" if alone else "not an HTTP/1.1 request"
        raise Malformed(400, problem)
    if len(data) > limit:
        raise too_long(data)


def too_long(data: bytes) -> Malformed:
    """414 if the request line alone is too long, else 431."""
    if b"\r\n" in data:
        return Malformed(431, "the request head is too long")
    return Malformed(414, "the request target is too long")
