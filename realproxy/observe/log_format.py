"""A line of the access log, as JSON or in the combined format; `wall` is its time in seconds since 1970.

The log thread takes the interpreter from the threads that serve requests, so a line must be cheap:
parts that many lines have in common, such as the second or the user agent, are cached.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _json

from realproxy.messages.record import RequestRecord

SHORT = 256
"""Longer parts, in characters, are not cached."""

_ISO, _APACHE = "%Y-%m-%dT%H:%M:%S", "%d/%b/%Y:%H:%M:%S +0000"
_PLAIN = re.compile(rb"[ !#-\[\]-~]*+")


def format_json(record: RequestRecord, wall: float) -> str:
    """One JSON object: the request, its outcome, and its times in milliseconds."""
    head, arrived, started = record.head, record.arrived, record.asked
    request, target = '"method": null, "host": null', "null"
    origin = '"referer": null, "user_agent": null'
    if head is not None:
        write = _request_part if len(head.authority) < SHORT else _request_part.__wrapped__
        request, target = write(head.method, head.authority), _json(head.target.decode("latin-1"))
        value = head.fields.get
        origin = f'"referer": {_field(value(b"referer"))}, "user_agent": {_field(value(b"user-agent"))}'
    decision = f', "decision": {_json(record.decision)}' if record.decision else ""
    short = len(record.upstream) + len(record.detail) < SHORT
    outcome = (_outcome_part if short else _outcome_part.__wrapped__)(
        record.route, record.service, record.upstream, record.attempts, record.fault,
        record.reused, record.cache, record.end, record.detail, record.user,
    )  # fmt: skip
    return (
        f'{{"time": "{_iso_time(wall)}", "client": {_json(record.client)}, '
        f'"caller": {_word(record.caller)}, "side": {_json(record.side)}, '
        f'{request}, "target": {target}, "status": {record.status or "null"}, "bytes": {record.sent}, '
        f'"received": {record.received}, {outcome}, "trace": {_word(record.trace)}, '
        f'"span": {_word(record.span)}, "parent": {_word(record.parent)}, '
        f'"queue_ms": {_ms(record.picked - arrived) if arrived and record.picked else "null"}, '
        f'"connect_ms": {_ms(record.connecting) if started else "null"}, '
        f'"first_byte_ms": {_ms(record.answered - started) if started and record.answered else "null"}, '
        f'"total_ms": {_ms(record.ended - arrived) if arrived and record.ended else "null"}, {origin}'
        f"{decision}}}\n"
    )


@lru_cache(256)
def _request_part(method: str, authority: bytes) -> str:
    return f'"method": {_json(method)}, "host": {_json(authority.decode("latin-1"))}'


@lru_cache(256)
def _outcome_part(
    route: int | None, service: str, upstream: str, attempts: int, fault: str,
    reused: bool, cache: str, end: str, detail: str, user: str,
) -> str:  # fmt: skip
    """The part that is the same for many requests."""
    return (
        f'"route": {"null" if route is None else route}, "service": {_word(service)}, '
        f'"upstream": {_word(upstream)}, "attempts": {attempts}, "fault": {_word(fault)}, '
        f'"reused": {"true" if reused else "false"}, "cache": {_word(cache)}, "end": {_json(end)}, '
        f'"detail": {_word(detail)}, "user": {_word(user)}'
    )


def _word(value: str) -> str:
    return _json(value) if value else "null"


def _ms(seconds: float) -> str:
    """Milliseconds with one to three decimals: 12.5, 3.0."""
    text = f"{seconds * 1000:.3f}"
    if text[-1] != "0":
        return text
    text = text.rstrip("0")
    return text + "0" if text[-1] == "." else text


@lru_cache(256)
def _short_field(value: bytes | None) -> str:
    return "null" if value is None else _json(value.decode("latin-1"))


def _field(value: bytes | None) -> str:
    return _short_field(value) if value is None or len(value) < SHORT else _short_field.__wrapped__(value)


def _iso_time(wall: float) -> str:
    """As in 2026-01-31T23:59:59.123+00:00."""
    second = int(wall)
    micros = round((wall - second) * 1e6)
    if micros == 1_000_000:
        second, micros = second + 1, 0
    return f"{_second(_ISO, second)}.{_MILLIS[micros // 1000]}+00:00"


_MILLIS = tuple(f"{number:03d}" for number in range(1000))


@lru_cache(4)
def _second(layout: str, second: int) -> str:
    return time.strftime(layout, time.gmtime(second))


def format_combined(record: RequestRecord, wall: float) -> str:
    """The combined format of Apache and nginx."""
    head = record.head
    line, origin = "-", '"-" "-"'
    if head is not None:
        line = f"{head.method} {_quoted(head.target)} HTTP/1.{head.minor}"
        value = head.fields.get
        origin = f'"{_quoted(value(b"referer"))}" "{_quoted(value(b"user-agent"))}"'
    user, caller = (_quoted(name.encode()) if name else "-" for name in (record.user, record.caller))
    return (
        f'{record.client} {caller} {user} [{_second(_APACHE, int(wall))}] "{line}" {record.status or "-"} '
        f"{record.sent} {origin}\n"
    )


def _quoted(value: bytes | None) -> str:
    if not value:
        return "-"
    if _PLAIN.fullmatch(value) is not None:
        return value.decode("ascii")
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\x{byte:02x}" for byte in value
    )
