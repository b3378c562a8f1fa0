"""Cache directives: Cache-Control (RFC 9111, 5.2) and the targeted CDN-Cache-Control (RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import http_sf

Header = Callable[[str], str | None]
"""From a field's name in lower case to its value, of several lines joined by commas, or None."""

Directives = dict[str, str | None]

FOREVER = 2**31
"""Seconds that a larger or unreadably large delta-seconds stands for. RFC 9111, 1.2.2"""

# cache-directive = token [ "=" ( token / quoted-string ) ]                  RFC 9111, 5.2
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_DIRECTIVE = re.compile(rf'({_TOKEN})(?:=(?:"((?:[^"\\]|\\.)*)"|({_TOKEN})))?')

_NAME_FIELDS = frozenset({"private", "no-cache"})
"""Directives whose argument is a list of field names. RFC 9111, 5.2.2.4 and 5.2.2.7"""


def parse_cache_control(value: str | None) -> Directives:
    """The directives in a Cache-Control value, names in lower case; of a repeated one the first.

    Examples
    --------
    >>> parse_cache_control('max-age=60, private="x", no-transform')
    {'max-age': '60', 'private': 'x', 'no-transform': None}
    """
    directives: Directives = {}
    for name, quoted, token in _DIRECTIVE.findall(value or ""):
        directives.setdefault(name.lower(), quoted or token or None)
    return directives


@lru_cache(maxsize=512)
def parse_targeted(value: str) -> Directives | None:
    """The directives in a CDN-Cache-Control value; None if it must be ignored. RFC 9213, 2.1

    It is ignored when it is empty or no dictionary of structured fields (RFC 9651). An argument of
    the wrong type is one that cannot be read, and what is false is not there.
    """
    try:
        members = http_sf.parse(value.encode("latin-1", "replace"), tltype="dictionary")
    except ValueError:
        return None
    if not isinstance(members, dict) or not members:
        return None
    directives: Directives = {}
    for name, member in members.items():
        argument = member[0] if isinstance(member, tuple) else None
        if argument is True:
            directives[name] = None
        elif argument is not False:
            directives[name] = _argument(name, argument)
    return directives


def _argument(name: str, argument: object) -> str:
    """An argument as text that only the right type makes readable."""
    if isinstance(argument, int):
        return str(argument)
    return argument if name in _NAME_FIELDS and isinstance(argument, str) else "unreadable"


def read_directives(header: Header, targeted: bool) -> tuple[Directives, bool]:
    """The directives that apply to an answer.

    Parameters
    ----------
    header : callable
        Of the answer.
    targeted : bool
        Whether CDN-Cache-Control is meant for this cache.

    Returns
    -------
    directives : dict
    aimed : bool
        Whether they are targeted: Cache-Control and Expires then do not count. RFC 9213, 2.2
    """
    value = header("cdn-cache-control") if targeted else None
    aimed = parse_targeted(value) if value is not None else None
    return (parse_cache_control(header("cache-control")), False) if aimed is None else (aimed, True)


def delta_seconds(text: str | None) -> int:
    """Seconds of a directive; what cannot be read counts as 0, that is stale. RFC 9111, 4.2.1"""
    if text is None or not text.isascii() or not text.isdigit():
        return 0
    return min(int(text), FOREVER) if len(text) < 12 else FOREVER


def field_names(argument: str | None) -> list[str]:
    """The names in the argument of a qualified ``no-cache`` or ``private``, in lower case."""
    return [name for part in (argument or "").split(",") if (name := part.strip().lower())]
