"""Anonymity levels of the forward side: what an origin learns from the header fields.

The three usual levels. *Transparent*: the origin sees the proxy and the client's address.
*Anonymous*: it sees that there is a proxy, but not the client. *Elite*: it sees neither.
`TABLE` is the complete definition.

A level only changes header fields. It does not hide cookies, the browser's User-Agent, the body, what
goes through a tunnel, or what does not go through the proxy.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

from policies.addresses import plain_address

Level = Literal["transparent", "anonymous", "elite"]
LEVELS: tuple[Level, ...] = ("transparent", "anonymous", "elite")


class Rule(StrEnum):
    """What the proxy does with a field."""

    KEEP = "kept"
    APPEND = "added to"
    DROP = "removed"
    SAME_HOST = "kept for the same host"


_K, _A, _D, _S = Rule.KEEP, Rule.APPEND, Rule.DROP, Rule.SAME_HOST

TABLE: dict[str, tuple[Rule, Rule, Rule]] = {
    # field                transparent, anonymous, elite
    "Via":                 (_A, _A, _D),  # RFC 9110, 7.6.3 demands it of every proxy: elite breaks the rule
    "X-Forwarded-For":     (_A, _D, _D),  # the client's address, by custom
    "Forwarded":           (_A, _D, _D),  # the same by standard, RFC 7239
    "X-Forwarded-Host":    (_K, _D, _D),
    "X-Forwarded-Port":    (_K, _D, _D),
    "X-Forwarded-Proto":   (_K, _D, _D),
    "X-Forwarded-Server":  (_K, _D, _D),
    "X-Real-IP":           (_K, _D, _D),
    "X-Client-IP":         (_K, _D, _D),
    "Client-IP":           (_K, _D, _D),
    "True-Client-IP":      (_K, _D, _D),
    "X-Cluster-Client-IP": (_K, _D, _D),
    "CF-Connecting-IP":    (_K, _D, _D),
    "From":                (_K, _D, _D),  # the user's mail address, RFC 9110, 10.1.2
    "Referer":             (_K, _K, _S),  # the previous page: other sites need not know, RFC 9110, 10.1.3
}  # fmt: skip
"""The rule of every field at each of `LEVELS`."""


@dataclass(frozen=True)
class HeaderRules:
    """One column of `TABLE`, prepared for requests.

    Attributes
    ----------
    level : str
        Its name.
    drops : frozenset of bytes
        Names, in lower case, of the fields that are removed from the client's request. They include
        the fields that are rewritten with an addition.
    via : bool
        Whether the proxy adds itself to Via.
    address : bool
        Whether the proxy adds the client's address.
    hides_referer : bool
        Whether another site's Referer is removed.
    """

    level: Level
    drops: frozenset[bytes]
    via: bool
    address: bool
    hides_referer: bool


def header_rules(level: Level) -> HeaderRules:
    """The rules of a level."""
    column = LEVELS.index(level)
    rules = {name: row[column] for name, row in TABLE.items()}
    # Via is added as a separate line; the other fields are rewritten as one line.
    rewritten = {name for name, rule in rules.items() if rule is Rule.APPEND and name != "Via"}
    dropped = {name for name, rule in rules.items() if rule is Rule.DROP}
    return HeaderRules(
        level=level,
        drops=frozenset(name.lower().encode() for name in dropped | rewritten),
        via=rules["Via"] is Rule.APPEND,
        address=rules["X-Forwarded-For"] is Rule.APPEND,
        hides_referer=rules["Referer"] is Rule.SAME_HOST,
    )


def is_same_host(referer: str, host: str, port: int) -> bool:
    """Whether a Referer names the host of the request, so that it may stay. RFC 9110, 10.1.3"""
    try:
        parts = urlsplit(referer)
        return (parts.hostname, parts.port or 80) == (host.lower(), port) and parts.scheme == "http"
    except ValueError:
        return False


def forwarded_element(address: str) -> str:
    """The element that this proxy adds to Forwarded. RFC 7239, 4 and 6

    Examples
    --------
    >>> forwarded_element("192.0.2.43"), forwarded_element("2001:db8::1")
    ('for=192.0.2.43;proto=http;by=_proxytwin', 'for="[2001:db8::1]";proto=http;by=_proxytwin')
    """
    plain = str(plain_address(address))
    node = f'"[{plain}]"' if ":" in plain else plain
    return f"for={node};proto=http;by=_proxytwin"


def changes(level: Level, present: Container[str]) -> list[str]:
    """What a level changes in a request, in words.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    present : container of str
        Names, in lower case, of the fields that the client sent.
    """
    column = LEVELS.index(level)
    found = []
    for name, row in TABLE.items():
        rule, there = row[column], name.lower() in present
        if rule is Rule.APPEND:
            found.append(f"{name} {'added to' if there else 'added'}")
        elif rule is not Rule.KEEP and there:
            found.append(f"{name} {rule}")
    return found
