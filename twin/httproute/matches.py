"""The conditions of an HTTPRoute as those of our routes, and the order in which they are tried."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from policies.patterns import compile_pattern
from twin.httproute.documents import Document, Node

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_EXACT, _PATTERN, _PREFIX = range(3)


class Match(NamedTuple):
    """One way to match a rule.

    Attributes
    ----------
    when : dict
        Conditions as in our file, without the host.
    rank : tuple
        Its place by precedence among matches of equal hosts; the smallest goes first.
    prefix : str or None
        The path prefix, for filters that replace it.
    """

    when: dict[str, Any]
    rank: tuple[int, ...]
    prefix: str | None


def hosts(document: Document) -> list[tuple[str | None, tuple[int, ...]]]:
    """The hosts of a route and their places by precedence; None for all hosts."""
    names = document.spec.child("hostnames")
    if not names.value:
        return [(None, (2, 0))]
    found: list[tuple[str | None, tuple[int, ...]]] = []
    for node in names.items():
        name = node.text().lower()
        bare = name.removeprefix("*.")
        if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", bare) is None:
            raise node.wrong(f"expected a host name such as 'shop.test' or '*.shop.test', not {name!r}")
        found.append((name, (1 if name.startswith("*.") else 0, -len(name))))
    return found


def matches(rule: Node) -> list[Match]:
    """The matches of a rule; without any, all requests match."""
    found = rule.child("matches")
    if not found.value:
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
        if key in fields:
            when[ours] = _values(fields[key], ignore_case=key == "headers")
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
    if not value.startswith("/") or "//" in value:
        raise fields["value"].wrong(f"expected a path such as '/api', not {value!r}")
    decoded = unquote(value)
    if kind == "Exact":
        when["path"] = exactly(decoded)
        return _EXACT, -len(value), ""
    if decoded.rstrip("/"):
        when["prefix"] = decoded.rstrip("/")
    return _PREFIX, -len(value.rstrip("/") or "/"), decoded


def _values(node: Node, *, ignore_case: bool) -> dict[str, str]:
    """Patterns by name; of several entries with one name, only the first counts."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for item in node.items():
        fields = item.fields("type", "name", "value")
        if "name" not in fields or "value" not in fields:
            raise item.wrong("expected 'name' and 'value'")
        name, value = fields["name"].text(), fields["value"].text()
        kind = fields["type"].one_of("Exact", "RegularExpression") if "type" in fields else "Exact"
        key = name.lower() if ignore_case else name
        if key not in seen:
            found[name] = exactly(value) if kind == "Exact" else _expression(value, fields["value"])
        seen.add(key)
    return found


def exactly(text: str) -> str:
    """The pattern that matches this text alone."""
    if text.startswith("~") or set("*?[") & set(text):
        return f"~^{re.escape(text)}$"
    return text


def _expression(text: str, node: Node) -> str:
    pattern = f"~^(?:{text})$"
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise node.wrong(str(error)) from None
    return pattern
