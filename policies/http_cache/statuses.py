"""Statuses: which a shared cache stores, and which request fields may be behind each. One table.

A route's `ttl` counts as freshness only for the statuses that may be stored without explicit freshness.
`docs/caching.md` shows this table, and a test compares both.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Storing(Enum):
    """Whether a response with some status may be stored; the value is how the table in the docs says it."""

    HEURISTIC = "yes"  # also without explicit freshness. RFC 9110, 15.1
    EXPLICIT = "with explicit freshness"  # RFC 9111, 3
    PART = "as a part"  # see `policies.http_cache.partial`
    NEVER = "no"


class Status(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    storing : Storing
    section : str
        Where the status is defined: the RFC and its section.
    causes : frozenset of str
        Request fields, in lower case, that ordinary requests have and that may be behind this status. The
        fields that may be behind any status are in `policies.http_cache.causes`.
    needs : frozenset of str
        Request fields whose absence may be behind this status, too.
    """

    storing: Storing
    section: str
    causes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
_LANGUAGES = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
_CREDENTIALS = frozenset({"authorization", "cookie"})
_ADDRESSES = frozenset({"forwarded", "via", "x-forwarded-for"})
_FETCH = frozenset({"dnt", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "sec-gpc"})
_SENDERS = _ADDRESSES | _FETCH | {"origin", "referer", "user-agent"}
_H, _E, _PART, _NO = Storing.HEURISTIC, Storing.EXPLICIT, Storing.PART, Storing.NEVER

STATUSES: dict[int, Status] = {
    200: Status(_H, "RFC 9110, 15.3.1"),
    201: Status(_E, "RFC 9110, 15.3.2"),
    202: Status(_E, "RFC 9110, 15.3.3"),
    203: Status(_H, "RFC 9110, 15.3.4"),
    204: Status(_H, "RFC 9110, 15.3.5"),
    205: Status(_E, "RFC 9110, 15.3.6"),
    206: Status(_PART, "RFC 9110, 15.3.7"),
    207: Status(_E, "RFC 4918, 11.1"),
    208: Status(_E, "RFC 5842, 7.1"),
    226: Status(_NO, "RFC 3229, 10.4.1"),  # the difference to what one client has
    300: Status(_H, "RFC 9110, 15.4.1"),
    301: Status(_H, "RFC 9110, 15.4.2"),
    302: Status(_E, "RFC 9110, 15.4.3"),
    303: Status(_E, "RFC 9110, 15.4.4"),
    304: Status(_NO, "RFC 9110, 15.4.5"),  # it belongs to the response that it confirms
    305: Status(_E, "RFC 9110, 15.4.6"),
    307: Status(_E, "RFC 9110, 15.4.8"),
    308: Status(_H, "RFC 9110, 15.4.9"),
    400: Status(_E, "RFC 9110, 15.5.1", _CONDITIONS | _ADDRESSES | {"cookie", "origin", "referer"}),
    401: Status(_E, "RFC 9110, 15.5.2", _CREDENTIALS, needs=frozenset({"authorization"})),
    402: Status(_E, "RFC 9110, 15.5.3", _CREDENTIALS),
    403: Status(_E, "RFC 9110, 15.5.4", _CREDENTIALS | _SENDERS),
    404: Status(_H, "RFC 9110, 15.5.5"),
    405: Status(_H, "RFC 9110, 15.5.6"),
    406: Status(_E, "RFC 9110, 15.5.7", _LANGUAGES | {"user-agent"}),
    407: Status(_NO, "RFC 9110, 15.5.8"),  # between one client and a proxy
    408: Status(_NO, "RFC 9110, 15.5.9"),  # about one connection
    409: Status(_E, "RFC 9110, 15.5.10", _CONDITIONS),
    410: Status(_H, "RFC 9110, 15.5.11"),
    411: Status(_E, "RFC 9110, 15.5.12"),
    412: Status(_E, "RFC 9110, 15.5.13", _CONDITIONS),
    413: Status(_E, "RFC 9110, 15.5.14", frozenset({"cookie"})),
    414: Status(_H, "RFC 9110, 15.5.15"),
    415: Status(_E, "RFC 9110, 15.5.16", _LANGUAGES),
    416: Status(_E, "RFC 9110, 15.5.17"),
    417: Status(_E, "RFC 9110, 15.5.18"),
    421: Status(_NO, "RFC 9110, 15.5.20"),  # about one connection
    422: Status(_E, "RFC 9110, 15.5.21"),
    423: Status(_E, "RFC 4918, 11.3"),
    424: Status(_E, "RFC 4918, 11.4"),
    425: Status(_NO, "RFC 8470, 5.2"),  # about one connection
    426: Status(_NO, "RFC 9110, 15.5.22"),  # about one connection
    428: Status(_NO, "RFC 6585, 3"),
    429: Status(_NO, "RFC 6585, 4"),
    431: Status(_NO, "RFC 6585, 5"),
    451: Status(_H, "RFC 7725, 3", _CREDENTIALS | _ADDRESSES | {"dnt", "sec-gpc"}),
    500: Status(_E, "RFC 9110, 15.6.1", frozenset({"cookie", "referer"})),
    501: Status(_H, "RFC 9110, 15.6.2"),
    502: Status(_E, "RFC 9110, 15.6.3"),
    503: Status(_E, "RFC 9110, 15.6.4"),
    504: Status(_E, "RFC 9110, 15.6.5"),
    505: Status(_E, "RFC 9110, 15.6.6"),
    506: Status(_E, "RFC 2295, 8.1", _LANGUAGES),
    507: Status(_E, "RFC 4918, 11.5"),
    508: Status(_E, "RFC 5842, 7.2"),
    510: Status(_NO, "RFC 2774, 7"),  # the request lacks an extension
    511: Status(_NO, "RFC 6585, 6"),
}
"""The final statuses that this cache understands. RFC 9111, 5.2.2.3 (must-understand)"""

_INTERIM = Status(_NO, "RFC 9110, 15.2")  # only a final response can be stored. RFC 9111, 3
_INVALID = Status(_NO, "RFC 9110, 15")
_UNKNOWN = Status(_E, "RFC 9110, 15")


def row(status: int) -> Status:
    """The row of a status; an unknown one is treated as its class. RFC 9110, 15"""
    found = STATUSES.get(status)
    if found is not None:
        return found
    if 100 <= status < 200:
        return _INTERIM
    return _UNKNOWN if 200 <= status < 600 else _INVALID
