"""The client's address as proxies in front of this one report it: X-Forwarded-* and Forwarded (RFC 7239).

Each proxy appends the address of its own client. Only the last entries come from trusted proxies, as
many as there are trusted hops; a client can forge all entries before them.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from policies.http_cache.directives import Header

# Forwarded         = 1#forwarded-element                                              RFC 7239, 4
# forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
_PAIR = re.compile(
    r"""\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=([!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[^"\\]|\\.)*")\s*"""
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PROTO = re.compile(r"https?", re.IGNORECASE)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%]+)(?::[0-9]{1,5})?")


def client_of(peer: str, trusted_hops: int, field: Header) -> str:
    """The address of the client, read from the end of the chain of proxies.

    Parameters
    ----------
    peer : str
        Address of the connection.
    trusted_hops : int
        Number of trusted proxies in front of this one.
    field : callable
        The request's header.

    Returns
    -------
    str
        An IP address: the entry `trusted_hops` places from the end, or else the farthest one with only
        readable entries behind it. `peer` if no hop is trusted, or if X-Forwarded-For and Forwarded
        contradict each other.
    """
    if trusted_hops == 0:
        return peer
    listed, standard = field("x-forwarded-for"), field("forwarded")
    by_custom = _addresses(listed.split(",")) if listed is not None else []
    by_standard = _addresses(_for_nodes(standard)) if standard is not None else []
    custom, standardised = _hop(by_custom, trusted_hops), _hop(by_standard, trusted_hops)
    if listed is not None and standard is not None and custom != standardised:
        return peer
    return custom or standardised or peer


def _hop(addresses: list[str | None], count: int) -> str | None:
    """The address `count` places from the end, or else the farthest one with only readable ones behind it."""
    found = None
    for address in reversed(addresses[-count:]):
        if address is None:
            break
        found = address
    return found


def _addresses(nodes: list[str]) -> list[str | None]:
    return [_address(node.strip()) for node in nodes]


def _address(node: str) -> str | None:
    """The IP address in ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``."""
    if node.startswith("["):
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    try:
        return str(ipaddress.ip_address(node))
    except ValueError:
        return None  # such as "unknown" or an obfuscated name: RFC 7239, 6


def _for_nodes(value: str) -> list[str]:
    """The ``for`` of each element of Forwarded; an empty text if an element has none. RFC 7239, 5.2"""
    nodes = []
    for element in _split(value, ","):
        node = ""
        for part in _split(element, ";"):
            pair = _PAIR.fullmatch(part)
            if pair is not None and pair[1].lower() == "for":
                node = _unquoted(pair[2])
        nodes.append(node)
    return nodes


def _split(text: str, separator: str) -> list[str]:
    """The parts of `text` between separators outside of quotes."""
    parts, start, quoted, escaped = [], 0, False, False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def told_proto(trusted_hops: int, field: Header) -> str | None:
    """X-Forwarded-Proto, if it comes from a trusted proxy and is ``http`` or ``https``."""
    told = field("x-forwarded-proto") if trusted_hops else None
    return told.lower() if told is not None and _PROTO.fullmatch(told) else None


def told_host(trusted_hops: int, field: Header) -> str | None:
    """X-Forwarded-Host, if it comes from a trusted proxy and is one host."""
    told = field("x-forwarded-host") if trusted_hops else None
    return told if told is not None and _HOST.fullmatch(told) else None


@lru_cache(maxsize=4096)
def forwarded_element(address: str, host: str, proto: str) -> str:
    """The element that this proxy adds to Forwarded. RFC 7239, 4

    Parameters
    ----------
    address : str
        IP address of the client.
    host : str
        Host of the request; may be empty.
    proto : str
        ``http`` or ``https``.

    Examples
    --------
    >>> forwarded_element("192.0.2.43", "shop.test", "https")
    'for=192.0.2.43;host=shop.test;proto=https'
    >>> forwarded_element("2001:db8::1", "shop.test:8080", "http")
    'for="[2001:db8::1]";host="shop.test:8080";proto=http'
    """
    node = f'"[{address.partition("%")[0]}]"' if ":" in address else address
    return f"for={node};host={quoted(host)};proto={proto}" if host else f"for={node};proto={proto}"


def quoted(value: str) -> str:
    """A value of Forwarded: a token unchanged, anything else as a quoted-string. RFC 9110, 5.6.4"""
    if _TOKEN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
