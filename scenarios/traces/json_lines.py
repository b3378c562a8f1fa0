"""Logs with one JSON object per line: nginx, Caddy, Traefik, CloudFront, ECS, and this project's own proxy.

The fields are found by the names that these programs use; ``a.b`` is the field ``b`` in the object ``a``,
or a field whose name has the dot in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from scenarios.traces.http_log import LARGEST, Entry, object_name, split_request
from scenarios.traces.times import any_time, iso_time, shown

TIME = (
    "ts",
    "startutc",
    "startlocal",
    "start_time",
    "time",
    "timestamp",
    "@timestamp",
    "time_iso8601",
    "msec",
    "time_local",
    "datetime",
)
METHOD = (
    "method",
    "request.method",
    "request_method",
    "requestmethod",
    "http.request.method",
    "cs-method",
    "verb",
)
LINE = ("request", "request_line", "requestline", "http_request")
WHOLE = ("request_uri", "target", "request.uri", "requesturi", "url.original", "url", "request.url")
"""Fields whose value has the query, if there is one."""
PATH = (
    "uri",
    "requestpath",
    "path",
    "request.path",
    "request_path",
    "cs-uri-stem",
    "url.path",
    "http.request.path",
)
QUERY = ("query", "args", "query_string", "querystring", "request.query", "cs-uri-query", "url.query")
HOST = (
    "request.host",
    "http_host",
    "x-host-header",
    "requesthost",
    "requestaddr",
    "request_host",
    "authority",
    ":authority",
    "vhost",
    "virtual_host",
    "url.domain",
    "cs(host)",
    "cs-host",
    "http.request.host",
    "host",
    "server_name",
    "site",
    "server",
    "domain",
)
SCHEME = ("scheme", "request.scheme", "requestscheme", "request_scheme", "cs-protocol", "url.scheme")
PORT = ("requestport", "server_port", "url.port")
STATUS = (
    "status",
    "downstreamstatus",
    "http.response.status_code",
    "sc-status",
    "status_code",
    "response.status",
    "response_code",
    "originstatus",
)
SIZE = (
    "bytes",
    "size",
    "body_bytes_sent",
    "downstreamcontentsize",
    "http.response.body.bytes",
    "bytes_sent",
    "sc-bytes",
    "response_size",
    "bytes_out",
    "response.bytes",
    "content_length",
    "origincontentsize",
)
_NONE = (None, "", "-")


class JsonLines:
    """Reads the lines; the object is scheme, host, port, path and query as far as they are logged."""

    def begin(self) -> None:
        """Nothing to do: each line stands for itself."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line; ``None`` if it says nothing about a request, as those of a program's own log."""
        try:
            found = json.loads(line.encode("latin-1"))  # UTF-8
        except ValueError as error:
            raise ValueError(f"expected one JSON object: {error}") from None
        if not isinstance(found, dict):
            raise ValueError("expected one JSON object")
        fields = _flat(found)
        method, target, named = _request(fields)
        if not named:
            return Entry(0.0, "", "", "", 0)
        return Entry(_time(fields), method, _name(fields, target), _status(fields), _size(fields, method))


def _flat(found: dict[str, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """All fields by their dotted names in small letters."""
    fields: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            if depth < 4:
                fields |= _flat(value, f"{before}{name.lower()}.", depth + 1)
                fields.setdefault(f"{before}{name.lower()}", value)
        else:
            fields[f"{before}{name.lower()}"] = value
    return fields


def _first(fields: dict[str, Any], names: Sequence[str]) -> Any:
    """The first of the fields that says something."""
    for name in names:
        value = fields.get(name)
        if value not in _NONE and not isinstance(value, (dict, list)):
            return value
    return None


def _request(fields: dict[str, Any]) -> tuple[str, str | None, bool]:
    """Method and target, and whether the line is about a request at all."""
    method, line = _first(fields, METHOD), _first(fields, LINE)
    whole, path = _first(fields, WHOLE), _first(fields, PATH)
    if isinstance(line, str) and " " in line:
        by_line, target = split_request(line)
        method, whole = method or by_line, whole or target
    if method is None and whole is None and path is None and not any(name in fields for name in METHOD):
        return "", None, False
    if method is None:
        if any(name in fields for name in METHOD):
            return "", None, False  # null: a tunnel, or a request that could not be read
        raise ValueError("expected a method of the request in a field such as 'method' or 'request_method'")
    target = whole
    if target is None and path is not None:
        query = _first(fields, QUERY)
        target = str(path) if query is None or "?" in str(path) else f"{path}?{str(query).removeprefix('?')}"
    if target is None:
        raise ValueError(f"expected a target of the request in a field such as {WHOLE[0]!r} or {PATH[0]!r}")
    return str(method).upper(), str(target), True


def _name(fields: dict[str, Any], target: str | None) -> str:
    host, scheme, port = _first(fields, HOST), _first(fields, SCHEME), _first(fields, PORT)
    text = str(host) if host is not None else ""
    if port is not None and ":" not in text.rpartition("]")[2]:
        text += f":{port}"
    if scheme is None and any(name.startswith("request.tls.") for name in fields):
        scheme = "https"  # Caddy
    if scheme is None:
        return object_name(target or "", text)
    if (target or "").startswith("/") and text:
        return object_name(f"{scheme}://{text}{target}")
    return object_name(target or "", f"{scheme}://{text}")


def _time(fields: dict[str, Any]) -> float:
    if isinstance(fields.get("date"), str) and isinstance(fields.get("time"), str):
        return iso_time(f"{fields['date']}T{fields['time']}")  # CloudFront
    value = _first(fields, TIME)
    if value is None:
        raise ValueError("expected a time in a field such as 'ts' or 'time'")
    return any_time(value)


def _status(fields: dict[str, Any]) -> str:
    value = _first(fields, STATUS)
    if value is None and not any(name in fields for name in STATUS):
        raise ValueError(f"expected a status in a field such as {STATUS[0]!r}")
    return "-" if value is None else str(value)


def _size(fields: dict[str, Any], method: str) -> int:
    value = _first(fields, SIZE)
    if value is None:
        if method == "GET" and not any(name in fields for name in SIZE):
            raise ValueError(f"expected bytes in a field such as {SIZE[0]!r} or {SIZE[1]!r}")
        return 0
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not number.is_integer() or not 0 <= number <= LARGEST:
        raise ValueError(f"expected a number of bytes, not {shown(value)}")
    return int(number)
