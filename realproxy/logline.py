"""A line of the access log, as JSON or in the combined format.

The log thread shares the interpreter with those who serve, so a line is put together from as few
pieces as can be: what is the same within a second, or for a user agent, is made once.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _json

from realproxy.exchange import Exchange

Format = Callable[[Exchange, float], str]
"""Makes a line of an exchange and the time of its end, in seconds since 1970."""

_PLAIN = re.compile(rb"[ !#-\[\]-~]*+")


def format_json(exchange: Exchange, wall: float) -> str:
    """One JSON object: who asked what, what came of it, and where the time went (milliseconds)."""
    head = exchange.head
    asked, origin = '"method": null, "host": null, "target": null', '"referer": null, "user_agent": null'
    if head is not None:
        host, target = _json(head.authority.decode("latin-1")), _json(head.target.decode("latin-1"))
        asked = f'"method": {_json(head.method)}, "host": {host}, "target": {target}'
        value = head.fields.get
        origin = f'"referer": {_field(value(b"referer"))}, "user_agent": {_field(value(b"user-agent"))}'
    arrived, started = exchange.arrived, exchange.asked
    connecting = round(exchange.connecting * 1000, 3) if started else "null"
    return (
        f'{{"time": "{_iso_time(wall)}", "client": {_json(exchange.client)}, "side": {_json(exchange.side)}, '
        f'{asked}, "status": {exchange.status or "null"}, "bytes": {exchange.sent}, '
        f'"received": {exchange.received}, "route": {"null" if exchange.route is None else exchange.route}, '
        f'"service": {_word(exchange.service)}, "upstream": {_word(exchange.upstream)}, '
        f'"attempts": {exchange.attempts}, "fault": {_word(exchange.fault)}, '
        f'"reused": {"true" if exchange.reused else "false"}, "cache": {_word(exchange.cache)}, '
        f'"end": {_json(exchange.end)}, "detail": {_word(exchange.detail)}, "user": {_word(exchange.user)}, '
        f'"trace": {_word(exchange.trace)}, "queue_ms": {_ms(arrived, exchange.picked)}, '
        f'"connect_ms": {connecting}, "first_byte_ms": {_ms(started, exchange.answered)}, '
        f'"total_ms": {_ms(arrived, exchange.ended)}, {origin}}}\n'
    )


def _word(value: str) -> str:
    return _json(value) if value else "null"


def _ms(start: float, end: float) -> float | str:
    return round((end - start) * 1000, 3) if start and end else "null"


@lru_cache(256)
def _short_field(value: bytes | None) -> str:
    return "null" if value is None else _json(value.decode("latin-1"))


def _field(value: bytes | None) -> str:
    return _short_field(value) if value is None or len(value) < 256 else _short_field.__wrapped__(value)


def _iso_time(wall: float) -> str:
    """As in 2026-01-31T23:59:59.123+00:00."""
    fraction, whole = math.modf(wall)
    micros = round(fraction * 1e6)
    return f"{_iso_second(int(whole) + micros // 1_000_000)}.{micros % 1_000_000 // 1000:03d}+00:00"


@lru_cache(4)
def _iso_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def format_combined(exchange: Exchange, wall: float) -> str:
    """The combined format of Apache and nginx."""
    head = exchange.head
    line, origin = "-", '"-" "-"'
    if head is not None:
        line = f"{head.method} {_quoted(head.target)} HTTP/1.{head.minor}"
        value = head.fields.get
        origin = f'"{_quoted(value(b"referer"))}" "{_quoted(value(b"user-agent"))}"'
    user = _quoted(exchange.user.encode()) if exchange.user else "-"
    return (
        f'{exchange.client} - {user} [{_apache_second(int(wall))}] "{line}" {exchange.status or "-"} '
        f"{exchange.sent} {origin}\n"
    )


@lru_cache(4)
def _apache_second(second: int) -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))


def _quoted(value: bytes | None) -> str:
    if not value:
        return "-"
    if _PLAIN.fullmatch(value) is not None:
        return value.decode("ascii")
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\x{byte:02x}" for byte in value
    )
