"""Cache directives: Cache-Control (RFC 9111, 5.2) and the targeted CDN-Cache-Control (RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import http_sf

Header = Callable[[str], str | None]
"""Gives the value of a field by its name in lower case; several lines joined by commas; None if absent."""

Directives = dict[str, str | None]
"""Arguments by the names of the directives, in lower case; None for a directive without an argument."""

FOREVER = 2**31
"""Seconds: the largest delta-seconds that counts. RFC 9111, 1.2.2"""

REMEMBERED = 512
"""Texts whose directives are remembered: a site says the same with most of its responses."""
SHORT = 256
"""Characters that such a text has at most."""

# cache-directive = token [ "=" ( token / quoted-string ) ]                  RFC 9111, 5.2
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_DIRECTIVE = re.compile(rf'({_TOKEN})(?:=(?:"((?:[^"\\]|\\.)*)"|({_TOKEN})))?')

_NAME_FIELDS = frozenset({"private", "no-cache"})
"""Directives whose argument is a list of field names. RFC 9111, 5.2.2.4 and 5.2.2.7"""
_STRICT = frozenset({"must-revalidate", "proxy-revalidate", "s-maxage"})
"""Directives that forbid a shared cache to send a stale response. RFC 9111, 4.2.4"""


def parse_cache_control(value: str | None) -> Directives:
    """The directives in a Cache-Control value; if one is repeated, the first counts.

    Examples
    --------
    >>> parse_cache_control('max-age=60, private="x", no-transform')
    {'max-age': '60', 'private': 'x', 'no-transform': None}
    """
    directives: Directives = {}
    for name, quoted, token in _DIRECTIVE.findall(value or ""):
        directives.setdefault(name.lower(), quoted or token or None)
    return directives


def parse_targeted(value: str) -> Directives | None:
    """The directives in a CDN-Cache-Control value; None if the field must be ignored. RFC 9213, 2.1

    The field is ignored if it is empty or not a dictionary of structured fields (RFC 9651). An argument
    of the wrong type counts as unreadable. A directive whose value is false counts as absent.
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
    """The argument as text, which is unreadable if it has the wrong type."""
    if isinstance(argument, int):
        return str(argument)
    return argument if name in _NAME_FIELDS and isinstance(argument, str) else "unreadable"


def read_directives(header: Header, targeted: bool) -> tuple[Directives, bool]:
    """The directives that apply to a response, and whether they come from CDN-Cache-Control.

    If they do, Cache-Control and Expires do not count. RFC 9213, 2.2

    Parameters
    ----------
    header : callable
        Of the response.
    targeted : bool
        Whether this cache is a target of CDN-Cache-Control.
    """
    return _choose(header("cache-control"), header("cdn-cache-control") if targeted else None)


def _choose(cache_control: str | None, cdn_cache_control: str | None) -> tuple[Directives, bool]:
    targeted = parse_targeted(cdn_cache_control) if cdn_cache_control is not None else None
    return (parse_cache_control(cache_control), False) if targeted is None else (targeted, True)


@dataclass(frozen=True, slots=True, eq=False)
class ResponseDirectives:
    """What the directives of a response mean to a shared cache; the sections are those of RFC 9111.

    Attributes
    ----------
    targeted : bool
        Whether they come from CDN-Cache-Control.
    lifetime : float or None
        Seconds of freshness by ``s-maxage``, or else by ``max-age`` (4.2.1).
    public, must_understand, no_store : bool
        Whether the directive is present.
    private, no_cache : bool
        Whether the directive is present, and not limited to some fields (5.2.2.7, 5.2.2.4).
    shared : bool
        Whether the response to a request with Authorization may be stored (3.5).
    strict : bool
        Whether the response must not be used stale (4.2.4).
    while_revalidate : float
        Seconds of ``stale-while-revalidate``. RFC 5861, 3
    if_error : float or None
        Seconds of ``stale-if-error``; None if it is absent. RFC 5861, 4
    omitted : frozenset of str
        Fields that must not be stored with the response (5.2.2.4, 5.2.2.7).
    """

    targeted: bool
    lifetime: float | None
    public: bool
    must_understand: bool
    no_store: bool
    private: bool
    no_cache: bool
    shared: bool
    strict: bool
    while_revalidate: float
    if_error: float | None
    omitted: frozenset[str]


def read_response_directives(header: Header, targeted: bool) -> ResponseDirectives:
    """What the directives mean that `read_directives` finds."""
    cache_control, cdn = header("cache-control"), header("cdn-cache-control") if targeted else None
    short = len(cache_control or "") + len(cdn or "") <= SHORT
    return (_interpret if short else _interpret.__wrapped__)(cache_control, cdn)


@lru_cache(REMEMBERED)
def _interpret(cache_control: str | None, cdn_cache_control: str | None) -> ResponseDirectives:
    directives, targeted = _choose(cache_control, cdn_cache_control)
    lifetime, public = _seconds(directives, "s-maxage"), "public" in directives
    return ResponseDirectives(
        targeted=targeted,
        lifetime=_seconds(directives, "max-age") if lifetime is None else lifetime,
        public=public,
        must_understand="must-understand" in directives,
        no_store="no-store" in directives,
        private=_is_unqualified(directives, "private"),
        no_cache=_is_unqualified(directives, "no-cache"),
        shared=public or "s-maxage" in directives or "must-revalidate" in directives,
        strict=not _STRICT.isdisjoint(directives),
        while_revalidate=_seconds(directives, "stale-while-revalidate") or 0.0,
        if_error=_seconds(directives, "stale-if-error"),
        omitted=frozenset(field_names(directives.get("no-cache")) + field_names(directives.get("private"))),
    )


def _seconds(directives: Directives, name: str) -> float | None:
    return float(delta_seconds(directives[name])) if name in directives else None


def _is_unqualified(directives: Directives, name: str) -> bool:
    """Whether a directive is present without a list of fields."""
    return name in directives and directives[name] is None


def delta_seconds(text: str | None) -> int:
    """The seconds in an argument. An unreadable argument counts as 0, which is stale. RFC 9111, 4.2.1"""
    if text is None or not text.isascii() or not text.isdigit():
        return 0
    return min(int(text), FOREVER) if len(text) < 12 else FOREVER


def field_names(argument: str | None) -> list[str]:
    """The names in the argument of a qualified ``no-cache`` or ``private``, in lower case."""
    return [name for part in (argument or "").split(",") if (name := part.strip().lower())]
