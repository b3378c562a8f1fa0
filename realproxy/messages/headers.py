"""The heads that the proxy sends to upstreams and clients. RFC 9110, 7.6"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache

from policies.addresses import plain_address
from policies.forward.anonymity import HeaderRules, forwarded_element, is_same_host
from policies.reverse.forwarded import forwarded_element as forwarded_by
from realproxy.http1 import CHUNKED, Fields, RequestHead, ResponseHead

PSEUDONYM = b"proxytwin"
"""The name of this proxy in Via and Proxy-Status."""
SHORT = 300
"""Longer lines, in characters, are not cached for further requests."""
MOST_PASSAGES = 10
"""A request that has passed this proxy so often is in a loop."""

VIA = tuple(b"Via: 1.%d %b\r\n" % (minor, PSEUDONYM) for minor in (0, 1))
"""By the minor version of the message that came in. RFC 9110, 7.6.3"""
# For this hop only. RFC 9110, 7.6.1; the credentials were for us. RFC 9110, 11.7.2
HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te",
        b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
UNHEARD = (HOP_BY_HOP | {b"host"}) - {b"upgrade"}
"""Request fields that no upstream gets from the client, or that are in the key of a stored response."""
REPLACED = frozenset({b"x-forwarded-client-cert", b"x-forwarded-host", b"x-forwarded-proto"})
"""Request fields that a service gets from the proxy in place of the client's, or not at all."""
_HOP_AND_LENGTH = HOP_BY_HOP | {b"content-length"}
_REQUEST_DROPS = HOP_BY_HOP | {b"host", b"content-length", b"proxytwin-timeout-ms"}
_REVERSE_DROPS = _REQUEST_DROPS | REPLACED | {b"x-forwarded-for", b"forwarded"}
_REVERSE_TRACED = _REVERSE_DROPS | {b"traceparent"}
_REVERSE_UNTRACED = _REVERSE_TRACED | {b"tracestate"}
# The cache sends its own conditions in their place. RFC 9111, 4.3.1
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
_PARTLY = frozenset({b"range", b"if-range", b"if-match", b"if-unmodified-since"})
_REFERER = frozenset({b"referer"})
_TRAILER_DROPS = HOP_BY_HOP | {b"host", b"content-length", b"trailer"}


def framing_line(framing: int) -> bytes:
    """The field line for a body of `framing` bytes, or in chunks."""
    return b"Transfer-Encoding: chunked\r\n" if framing == CHUNKED else b"Content-Length: %d\r\n" % framing


def upstream_request(
    head: RequestHead, host: bytes, client: str, validators: Sequence[tuple[str, str]] | None = None, *,
    whole: bool = False,
) -> bytes:  # fmt: skip
    """The head to send to a service, with `host` in the Host field.

    `client` is the address for X-Forwarded-For and Forwarded. The condition fields `validators` replace the
    client's. With `whole`, ranges and other conditions are left out, so that the upstream sends everything.
    """
    fields, drops = head.fields, _REVERSE_DROPS
    custom, standard = fields.get(b"x-forwarded-for"), fields.get(b"forwarded")
    short = len(host) + len(custom or b"") + len(standard or b"") < SHORT
    added = (_provenance if short else _provenance.__wrapped__)(
        client, host, head.scheme, head.minor, head.origin, head.proto, custom, standard
    )
    if head.traceparent is not None:
        drops = _REVERSE_UNTRACED if head.begins_trace else _REVERSE_TRACED
        added += b"traceparent: %b\r\n" % head.traceparent.encode()
    return _request(head, head.path, host, drops, added, validators, whole)


@lru_cache(maxsize=4096)
def _provenance(
    client: str, host: bytes, scheme: bytes, minor: int, origin: str | None, proto: str | None,
    custom: bytes | None, standard: bytes | None,
) -> bytes:  # fmt: skip
    """Via and the forwarding fields, which are the same for many requests of a client."""
    asked, element = host.decode("latin-1"), forwarded_by(client, host.decode("latin-1"), scheme.decode())
    lines = {
        "X-Forwarded-For": f"{custom.decode('latin-1')}, {client}" if custom else client,
        "X-Forwarded-Host": origin or asked,
        "X-Forwarded-Proto": proto or scheme.decode(),
        "Forwarded": f"{standard.decode('latin-1')}, {element}" if standard else element,
    }
    return VIA[minor] + "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")


@lru_cache(maxsize=8)
def _forward_drops(drops: frozenset[bytes]) -> frozenset[bytes]:
    return _REQUEST_DROPS | drops


def forward_request(
    head: RequestHead, rules: HeaderRules, client: str,
    validators: Sequence[tuple[str, str]] | None = None, *, parent: bytes | None = None, whole: bool = False,
) -> bytes:  # fmt: skip
    """The head of a forward request; see `upstream_request` for `client`, `validators` and `whole`.

    `rules` say what the origin may learn. `parent` is None for the origin; a parent proxy gets absolute-form,
    and these further field lines.
    """
    fields, drops = head.fields, _forward_drops(rules.drops)
    added = VIA[head.minor] if rules.via else b""
    if rules.address:
        added += b"X-Forwarded-For: %b\r\nForwarded: %b\r\n" % (
            _listed(fields.get(b"x-forwarded-for"), str(plain_address(client))),
            _listed(fields.get(b"forwarded"), forwarded_element(client)),
        )
    if rules.hides_referer and b"referer" in fields:
        referer = fields.text("referer") or ""
        if not is_same_host(referer, head.host.decode(), head.port):
            drops |= _REFERER
    target = head.path
    if parent is not None:
        # The last proxy of a chain sends "*", the others the URI as it came. RFC 9112, 3.2.4
        target = b"http://%b%b" % (head.authority, b"" if head.path == b"*" else head.path)
        added += parent
    return _request(head, target, head.authority, drops, added, validators, whole)


def _listed(before: bytes | None, element: str) -> bytes:
    """`before` with `element` appended."""
    return b"%b, %b" % (before, element.encode()) if before else element.encode()


def _request(
    head: RequestHead, target: bytes, host: bytes, drops: frozenset[bytes], added: bytes,
    validators: Sequence[tuple[str, str]] | None, whole: bool,
) -> bytes:  # fmt: skip
    fields = head.fields
    start = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (head.method.encode(), target, host)
    if head.framing != 0 or b"content-length" in fields:
        added += framing_line(head.framing)
    if validators is not None:
        drops |= _CONDITIONS
        added += b"".join(b"%b: %b\r\n" % (n.encode(), v.encode("latin-1")) for n, v in validators)
    if whole:
        drops |= _PARTLY
    return b"%b%b%b\r\n" % (start, fields.joined(drops), added)


def connect_via(head: RequestHead | None, rules: HeaderRules) -> bytes:
    """The Via line of a CONNECT to a parent; `head` is the client's CONNECT, if any. RFC 9110, 7.6.3"""
    if not rules.via:
        return b""
    before, minor = (head.fields.get(b"via"), head.minor) if head is not None else (None, 1)
    return b"Via: %b\r\n" % _listed(before, f"1.{minor} {PSEUDONYM.decode()}")


def via_count(fields: Fields) -> int:
    """How many proxies of this kind a request has passed, by its Via."""
    return sum(part.split()[-1:] == [PSEUDONYM] for part in fields.elements(b"via"))


@lru_cache(maxsize=4)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def http_date() -> bytes:
    """The value of Date for now."""
    return _date(int(time.time()))


def connection_field(request: RequestHead, keep: bool) -> bytes:
    """The Connection line for a client; empty if the default of its version applies. RFC 9112, 9.3"""
    if not keep:
        return b"Connection: close\r\n"
    return b"" if request.minor == 1 else b"Connection: keep-alive\r\n"


def client_response(response: ResponseHead, framing: int | None, added: bytes) -> bytes:
    """The head to send to the client, with the field lines `added`.

    `framing` is that of the body towards the client. None keeps the origin's Content-Length, for
    responses to HEAD and for 304.
    """
    start = response.passed_on.get(framing)
    if start is None:
        start = response.passed_on[framing] = _passed_on(response, framing)
    if response.fields.get(b"date") is None and response.status >= 200:  # RFC 9110, 6.6.1
        added += b"Date: %b\r\n" % http_date()
    return b"%b%b\r\n" % (start, added)


def _passed_on(response: ResponseHead, framing: int | None) -> bytes:
    """The part of a response's head that is the same for all clients."""
    kept = response.fields.joined(HOP_BY_HOP if framing is None else _HOP_AND_LENGTH)
    length = framing_line(framing) if framing is not None and framing >= CHUNKED else b""
    return b"HTTP/1.1 %d %b\r\n%b%b%b" % (response.status, response.reason, kept, VIA[response.minor], length)


def trailer_lines(trailer: Fields | None) -> bytes:
    """The lines of a trailer section that may be forwarded. RFC 9110, 6.5.1"""
    return trailer.joined(_TRAILER_DROPS) if trailer is not None else b""
