"""The filters of an HTTPRoute as what our routes change, answer or copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from policies.settings.ingress import Cors, HeaderChanges, Redirect, RequestChanges, Rewrite
from twin.httproute.documents import Node

_KINDS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
    "CORS": "cors",
}


class Place(NamedTuple):
    """Where filters stand.

    Attributes
    ----------
    prefix : str or None
        The path prefix of the match, for ``ReplacePrefixMatch``.
    port : int
        The port that the proxy listens on; 0 if it is not known yet.
    """

    prefix: str | None
    port: int


def read_filters(node: Node, place: Place) -> tuple[dict[str, Any], list[Node]]:
    """What a list of filters asks for, as keys of our routes, and the mirrors."""
    found: dict[str, Any] = {}
    mirrors: list[Node] = []
    seen: set[str] = set()
    for item in node.items() if node.value is not None else ():
        kind, body = _kind_and_body(item)
        if kind == "RequestMirror":
            mirrors.append(body)
            continue
        if kind in seen:
            raise item.wrong(f"{kind} is there twice")
        seen.add(kind)
        for key, value in _READERS[kind](body, place).items():
            before = found.get(key, {})
            if not before.keys().isdisjoint(value):
                raise item.wrong(f"two filters change the same {key}")
            found[key] = {**before, **value}
    if "redirect" in found and "rewrite" in found:
        raise node.wrong("a redirect and a rewrite cannot be together")
    return found, mirrors


def _kind_and_body(item: Node) -> tuple[str, Node]:
    fields = item.fields("type", *_KINDS.values())
    if "type" not in fields:
        raise item.wrong("expected 'type'")
    kind = fields["type"].one_of(*_KINDS)
    body = fields.get(_KINDS[kind])
    if body is None or len(fields) > 2:
        raise item.wrong(f"expected {_KINDS[kind]!r} for this type, and no other")
    return kind, body


def _request_changes(node: Node, _: Place) -> dict[str, Any]:
    changes = _changes(node)
    host = next((name for name in changes.get("set", {}) if name.lower() == "host"), None)
    rewrite = {"host": changes["set"].pop(host)} if host is not None else {}
    return {
        **({"request": node.checked(RequestChanges, changes)} if any(changes.values()) else {}),
        **({"rewrite": node.checked(Rewrite, rewrite)} if rewrite else {}),
    }


def _response_changes(node: Node, _: Place) -> dict[str, Any]:
    changes = _changes(node)
    return {"response": node.checked(HeaderChanges, changes)} if any(changes.values()) else {}


def _changes(node: Node) -> dict[str, Any]:
    """Changes of header fields; of several entries for one name, only the first counts."""
    fields = node.fields("set", "add", "remove")
    found: dict[str, Any] = {}
    for key in ("set", "add"):
        if key in fields:
            pairs = [_pair(item) for item in fields[key].items()]
            first = {name.lower(): name for name, _ in reversed(pairs)}
            found[key] = {name: value for name, value in reversed(pairs) if first[name.lower()] == name}
            found[key] = dict(reversed(found[key].items()))
    if "remove" in fields:
        names = [item.token() for item in fields["remove"].items()]
        found["remove"] = list({name.lower(): name for name in reversed(names)}.values())[::-1]
    return found


def _pair(node: Node) -> tuple[str, str]:
    fields = node.fields("name", "value")
    if set(fields) != {"name", "value"}:
        raise node.wrong("expected 'name' and 'value'")
    return fields["name"].token(), fields["value"].text()


def _redirect(node: Node, place: Place) -> dict[str, Any]:
    """A redirect; without scheme and port it leads to the port that the proxy listens on."""
    fields = node.fields("scheme", "hostname", "path", "port", "statusCode")
    found: dict[str, Any] = {}
    if "scheme" in fields:
        found["scheme"] = fields["scheme"].one_of("http", "https")
    if "hostname" in fields:
        found["host"] = fields["hostname"].text()
    if "port" in fields:
        found["port"] = fields["port"].number(1, 65535)
    elif "scheme" not in fields and place.port:
        found["port"] = place.port
    if "path" in fields:
        found |= _path(fields["path"], place)
    if "statusCode" in fields:
        found["status"] = fields["statusCode"].value
    return {"redirect": node.checked(Redirect, found)}


def _rewrite(node: Node, place: Place) -> dict[str, Any]:
    fields = node.fields("hostname", "path")
    found: dict[str, Any] = {}
    if "hostname" in fields:
        found["host"] = fields["hostname"].text()
    if "path" in fields:
        found |= _path(fields["path"], place)
    return {"rewrite": node.checked(Rewrite, found)} if found else {}


def _path(node: Node, place: Place) -> dict[str, str]:
    fields = node.fields("type", "replaceFullPath", "replacePrefixMatch")
    kind = node.child("type").one_of("ReplaceFullPath", "ReplacePrefixMatch")
    value = node.child(kind[0].lower() + kind[1:])
    if not isinstance(value.value, str):
        raise node.wrong(f"expected {kind[0].lower() + kind[1:]!r} for this type")
    if len(fields) > 2:
        raise node.wrong(f"expected {kind!r} alone")
    text = value.value
    if kind == "ReplaceFullPath":
        return {"path": text if text.startswith("/") else f"/{text}"}
    if place.prefix is None:
        raise node.wrong("ReplacePrefixMatch needs a match of type PathPrefix")
    return {"strip": place.prefix, "prefix": text if text.startswith("/") or not text else f"/{text}"}


def _cors(node: Node, _: Place) -> dict[str, Any]:
    fields = node.fields(
        "allowOrigins", "allowCredentials", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"
    )
    lists = {
        "origins": "allowOrigins", "methods": "allowMethods", "headers": "allowHeaders",
        "expose": "exposeHeaders",
    }  # fmt: skip
    found: dict[str, Any] = {
        ours: [item.text() for item in fields[theirs].items()]
        for ours, theirs in lists.items()
        if theirs in fields
    }
    if "allowCredentials" in fields:
        found["credentials"] = fields["allowCredentials"].flag()
    if "maxAge" in fields:
        found["max_age"] = f"{fields['maxAge'].number(1, 2**31 - 1)}s"
    return {"cors": node.checked(Cors, found)}


_READERS: dict[str, Callable[[Node, Place], dict[str, Any]]] = {
    "RequestHeaderModifier": _request_changes,
    "ResponseHeaderModifier": _response_changes,
    "RequestRedirect": _redirect,
    "URLRewrite": _rewrite,
    "CORS": _cors,
}
