"""The filters of an HTTPRoute as what our routes change, answer or copy."""

from __future__ import annotations

from typing import Any

from twin.httproute.documents import Node

_KINDS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
    "CORS": "cors",
}


def read_filters(node: Node, prefix: str | None) -> tuple[dict[str, Any], list[Node]]:
    """What the filters ask for, as keys of our routes, and the mirrors.

    Parameters
    ----------
    node : Node
        The list of filters.
    prefix : str or None
        The path prefix of the match, for ``ReplacePrefixMatch``.
    """
    found: dict[str, Any] = {}
    mirrors: list[Node] = []
    for item in node.items() if node.value else []:
        fields = item.fields("type", *_KINDS.values())
        if "type" not in fields:
            raise item.wrong("expected 'type'")
        kind = fields["type"].one_of(*_KINDS)
        body = fields.get(_KINDS[kind])
        if body is None:
            raise item.wrong(f"expected {_KINDS[kind]!r} for this type")
        if kind == "RequestMirror":
            mirrors.append(body)
            continue
        for key, value in _READERS[kind](body, prefix).items():
            if key in found and key != "rewrite":
                raise item.wrong(f"{kind} is there twice")
            found[key] = {**found.get(key, {}), **value} if key == "rewrite" else value
    return found, mirrors


def _request_changes(node: Node, _: str | None) -> dict[str, Any]:
    changes = _changes(node)
    host = next((name for name in changes.get("set", {}) if name.lower() == "host"), None)
    if host is None:
        return {"request": changes}
    rewrite = {"host": changes["set"].pop(host)}
    return {"request": changes, "rewrite": rewrite} if any(changes.values()) else {"rewrite": rewrite}


def _response_changes(node: Node, _: str | None) -> dict[str, Any]:
    return {"response": _changes(node)}


def _changes(node: Node) -> dict[str, Any]:
    fields = node.fields("set", "add", "remove")
    found: dict[str, Any] = {}
    for key in ("set", "add"):
        if key in fields:
            found[key] = dict(_pair(item) for item in fields[key].items())
    if "remove" in fields:
        found["remove"] = [item.text() for item in fields["remove"].items()]
    return found


def _pair(node: Node) -> tuple[str, str]:
    fields = node.fields("name", "value")
    if set(fields) != {"name", "value"}:
        raise node.wrong("expected 'name' and 'value'")
    return fields["name"].text(), fields["value"].text()


def _redirect(node: Node, prefix: str | None) -> dict[str, Any]:
    fields = node.fields("scheme", "hostname", "path", "port", "statusCode")
    found: dict[str, Any] = {}
    if "scheme" in fields:
        found["scheme"] = fields["scheme"].one_of("http", "https")
    if "hostname" in fields:
        found["host"] = fields["hostname"].text()
    if "port" in fields:
        found["port"] = fields["port"].number(1, 65535)
    if "path" in fields:
        found |= _path(fields["path"], prefix)
    if "statusCode" in fields:
        found["status"] = fields["statusCode"].number(301, 308)
    if not found.keys() - {"status"}:
        raise node.wrong("a redirect to the same URL would never end")
    return {"redirect": found}


def _rewrite(node: Node, prefix: str | None) -> dict[str, Any]:
    fields = node.fields("hostname", "path")
    found: dict[str, Any] = {}
    if "hostname" in fields:
        found["host"] = fields["hostname"].text()
    if "path" in fields:
        found |= _path(fields["path"], prefix)
    return {"rewrite": found} if found else {}


def _path(node: Node, prefix: str | None) -> dict[str, str]:
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
    if prefix is None:
        raise node.wrong("ReplacePrefixMatch needs a match of type PathPrefix")
    return {"strip": prefix, "prefix": text if text.startswith("/") or not text else f"/{text}"}


def _cors(node: Node, _: str | None) -> dict[str, Any]:
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
        found["max_age"] = f"{fields['maxAge'].number(1, 2**31)}s"
    return {"cors": found}


_READERS = {
    "RequestHeaderModifier": _request_changes,
    "ResponseHeaderModifier": _response_changes,
    "RequestRedirect": _redirect,
    "URLRewrite": _rewrite,
    "CORS": _cors,
}
