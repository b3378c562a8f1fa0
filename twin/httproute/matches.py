"""The conditions of an HTTPRoute as those of our routes, and the order in which they are tried."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from policies.patterns import compile_pattern
from twin.httproute.documents import Document, Node

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_EXACT, _PATTERN, _PREFIX = range(3)
_PATH = re.compile(r"/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*")
_NEVER_IN_PATHS = re.compile(r"//|/\.{1,2}(?=/|$)|%2f", re.IGNORECASE)
"""What HTTPPathMatch allows in no path to match, because implementations disagree about it."""
_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")


class Match(NamedTuple):
    """One way to match a rule.

    Attributes
    ----------
    when : dict
        Conditions as in our file, without the host.
    rank : tuple
        Its place by precedence among matches of equal hosts; the smallest goes first.
    prefix : str or None
        The path prefix, decoded, for filters that replace it.
    """

    when: dict[str, Any]
    rank: tuple[int, ...]
    prefix: str | None


def hosts(document: Document) -> list[tuple[str | None, tuple[int, ...]]]:
    """The hosts of a route and their places by precedence; None for all hosts."""
    names = document.spec.child("hostnames")
    if names.value is None or names.value == []:
        return [(None, (2, 0))]
    found: list[tuple[str | None, tuple[int, ...]]] = []
    for node in names.items():
        name = node.text().lower()
        bare = name.removeprefix("*.")
        if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", bare) is None:
            raise node.not_expected("a host name such as 'shop.test' or '*.shop.test'")
        if _is_address(bare):
            raise node.not_expected("a host name, for HTTPRoute allows no address here")
        found.append((name, (1 if name.startswith("*.") else 0, -len(name))))
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def matches(rule: Node) -> list[Match]:
    """The matches of a rule; without any, all requests match."""
    found = rule.child("matches")
    if found.value is None or found.value == []:
        return [Match({}, (_PREFIX, -1, 1, 0, 0), "/")]
    return [_match(node) for node in found.items()]


def _match(node: Node) -> Match:
    fields = node.fields("path", "headers", "queryParams", "method")
    when: dict[str, Any] = {}
    kind, length, prefix = _PREFIX, -1, "/"
    if "path" in fields:
        kind, length, prefix = _path(fields["path"], when)
    if "method" in fields:
        when["method"] = fields["method"].one_of(*_METHODS)
    for key, ours in (("headers", "header"), ("queryParams", "query")):
        if key in fields and (values := _values(fields[key], are_fields=key == "headers")):
            when[ours] = values
    has_method = 0 if "method" in when else 1
    rank = (kind, length, has_method, -len(when.get("header", ())), -len(when.get("query", ())))
    return Match(when, rank, prefix if kind == _PREFIX else None)


def _path(node: Node, when: dict[str, Any]) -> tuple[int, int, str]:
    fields = node.fields("type", "value")
    kind = (
        fields["type"].one_of("Exact", "PathPrefix", "RegularExpression")
        if "type" in fields
        else "PathPrefix"
    )
    value = fields["value"].text() if "value" in fields else "/"
    if kind == "RegularExpression":
        when["path"] = _expression(value, fields.get("value", node))
        return _PATTERN, -len(value), ""
    if _PATH.fullmatch(value) is None or _NEVER_IN_PATHS.search(value):
        raise fields["value"].not_expected("a path such as '/api', without '//', '/./', '/../' and '%2F'")
    decoded = unquote(value)
    if kind == "Exact":
        when["path"] = exactly(decoded)
        return _EXACT, -len(decoded), ""
    if decoded.rstrip("/"):
        when["prefix"] = decoded.rstrip("/")
    return _PREFIX, -len(decoded.rstrip("/") or "/"), decoded


def _values(node: Node, *, are_fields: bool) -> dict[str, str]:
    """Patterns by name; of several entries with one name, only the first counts."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for item in node.items():
        fields = item.fields("type", "name", "value")
        if "name" not in fields or "value" not in fields:
            raise item.wrong("expected 'name' and 'value'")
        name = fields["name"].token() if are_fields else fields["name"].text()
        value = fields["value"].text()
        kind = fields["type"].one_of("Exact", "RegularExpression") if "type" in fields else "Exact"
        if are_fields and kind == "Exact" and not (value.isascii() and value == value.strip()):
            raise fields["value"].not_expected("printable ASCII without blanks at the ends")
        pattern = exactly(value) if kind == "Exact" else _expression(value, fields["value"])
        key = name.lower() if are_fields else name
        if key not in seen:
            found[name] = pattern
        seen.add(key)
    return found


def exactly(text: str) -> str:
    """The pattern that matches this text alone."""
    if text.startswith("~") or set("*?[") & set(text):
        return rf"~\A{re.escape(text)}\Z"
    return text


def _expression(text: str, node: Node) -> str:
    """The pattern for a regular expression that must match the whole value; Python's, with flags in front."""
    found = _FLAGS.match(text)
    flags = found[0] if found is not None else ""
    pattern = rf"~{flags}\A(?:{text[len(flags) :]})\Z"
    try:
        for each in (f"~{text}", pattern):
            compile_pattern(each)
    except ValueError as error:
        raise node.wrong(str(error)) from None
    return pattern
