"""Conditions of routes that no request can meet, and routes that never get one: what is worth a warning."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from policies.host_names import ascii_pattern, host_problem
from policies.patterns import compile_pattern
from policies.reverse.rewrite import has_prefix
from policies.settings.routes import Match, Route

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_MARKS = re.compile(r"[*?\[]")
_SIMPLE = re.compile(r"\^[A-Za-z0-9_][^|]*")
"""A regular expression that begins with a letter or a digit, unless a mark behind it makes that optional."""


def problems(when: Match, *, tls: bool, callers: bool = False) -> Iterator[tuple[str, str]]:
    """Each condition that no request meets: its key below ``when``, and what is wrong.

    Parameters
    ----------
    when : Match
        The conditions of one route.
    tls : bool
        Whether `listen` speaks TLS.
    callers : bool
        Whether the clients of `listen` prove their names.
    """
    if when.host and (problem := host_problem(when.host)):
        yield "host", problem
    if when.path is not None and (problem := _path_problem(when.path)):
        yield "path", problem
    if when.prefix is not None and (problem := _prefix_problem(when.prefix)):
        yield "prefix", problem
    if when.path is not None and when.prefix is not None and not _may_meet(when.path, when.prefix):
        yield "prefix", f"no path can be {when.path!r} and begin with it"
    if when.method is not None and (problem := _method_problem(when.method)):
        yield "method", problem
    yield from _header_problems(when.header)
    for name, pattern in when.query.items():
        if problem := _query_problem(name, pattern):
            yield f"query.{name}", problem
    yield from _connection_problems(when, tls=tls, callers=callers)


def _connection_problems(when: Match, *, tls: bool, callers: bool) -> Iterator[tuple[str, str]]:
    if when.sni is not None and (problem := _sni_problem(when.sni, tls=tls)):
        yield "sni", problem
    if when.caller is not None and not callers:
        yield "caller", "no client proves its name: there is no 'identity' for 'listen'"
    if when.client is not None and (problem := network_problem(when.client)):
        yield "client", problem


def _path_problem(pattern: str) -> str | None:
    if pattern.startswith("~"):
        found = _SIMPLE.fullmatch(pattern[1:])
        optional = found is not None and pattern[3:4] in ("?", "*", "{")
        return None if found is None or optional else "every path begins with a slash: write '~^/…'"
    if not pattern.startswith(("/", "*", "?", "[")):
        path = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*", "", pattern)
        return f"every path begins with a slash: write {'/' + path.removeprefix('/')!r}"
    tests = (
        (
            re.search(r"[,|\s]+/", pattern),
            "this is one path: for several write a regular expression such as '~^/(a|b)(/|$)'",
        ),
        (
            "=" in pattern.partition("?")[2],
            f"a path is compared without its query: write {pattern.partition('?')[0]!r}",
        ),
        ("#" in pattern, f"no request has a fragment: write {pattern.partition('#')[0]!r}"),
        (
            re.search("%[0-9A-Fa-f]{2}", pattern),
            f"a path is decoded before it is compared: write {unquote(pattern)!r}",
        ),
        (
            re.search(r"/\.{1,2}(?:/|$)", pattern),
            "the segments '.' and '..' of a path are resolved before it is compared",
        ),
    )
    return next((problem for is_so, problem in tests if is_so), None)


def _prefix_problem(prefix: str) -> str | None:
    bare = re.sub(r"/?\*+$", "", prefix) or "/"
    tests = (
        (prefix != bare and prefix.endswith("*"), f"a prefix is no pattern: write {bare!r}"),
        ("?" in prefix, f"a path is compared without its query: write {prefix.partition('?')[0]!r}"),
        ("#" in prefix, f"no request has a fragment: write {prefix.partition('#')[0]!r}"),
        (
            re.search("%[0-9A-Fa-f]{2}", prefix),
            f"a path is decoded before it is compared: write {unquote(prefix)!r}",
        ),
        (
            re.search(r"/\.{1,2}(?:/|$)", prefix),
            "the segments '.' and '..' of a path are resolved before it is compared",
        ),
    )
    return next((problem for is_so, problem in tests if is_so), None)


def _may_meet(path: str, prefix: str) -> bool:
    """Whether a path can match a pattern and have a prefix, as far as their texts show it."""
    start = "" if path.startswith("~") else path[: _mark_in(path)]
    if start == path:
        return has_prefix(path, prefix)
    prefix = prefix.rstrip("/")
    return path.startswith("~") or start.startswith(prefix) or prefix.startswith(start)


def _query_problem(name: str, pattern: str) -> str | None:
    for text in (name, "" if pattern.startswith("~") else pattern):
        if re.search("%[0-9A-Fa-f]{2}", text):
            return f"a query is decoded before it is compared: write {unquote(text)!r}"
    return None if name else "a name is missing"


def _method_problem(text: str) -> str | None:
    methods = [part.strip() for part in text.split("|")]
    if any(separator in part for part in methods for separator in ", "):
        parts = [part.upper() for part in re.split(r"[,\s|]+", text) if part]
        return f"methods are separated by '|': write {'|'.join(parts)!r}"
    for method in methods:
        if method == "*":
            return "this is no mark for every method: leave the condition out"
        if _TOKEN.fullmatch(method) is None:
            return f"{method!r} is no method"
        if method != method.upper() and method.upper() in _METHODS:
            return f"methods are in capitals (RFC 9110, 9.1): write {text.upper()!r}"
        if method == "CONNECT":
            return "no route gets CONNECT, which only [forward] serves"
    return None


def _header_problems(header: dict[str, str]) -> Iterator[tuple[str, str]]:
    exact: dict[str, str] = {}
    for name, pattern in header.items():
        key, is_exact = f"header.{name}", not pattern.startswith("~") and not _MARKS.search(pattern)
        if _TOKEN.fullmatch(name) is None:
            yield key, f"{name!r} is no name of a field"
        elif not pattern.startswith("~") and pattern != pattern.strip(" \t"):
            yield key, "a value is compared without the white space around it"
        elif any((ord(char) < 32 and char != "\t") or ord(char) == 127 for char in pattern):
            yield key, "no value contains a control character"
        elif is_exact and exact.setdefault(name.lower(), pattern) != pattern:
            yield key, f"a request cannot have both values of {name.lower()!r}"


def _sni_problem(pattern: str, *, tls: bool) -> str | None:
    if not tls:
        named = not compile_pattern(ascii_pattern(pattern), ignore_case=True)("")
        return "no client names a server: there is no 'tls' for 'listen'" if named else None
    try:
        ipaddress.ip_address(ascii_pattern(pattern))
    except ValueError:
        return host_problem(pattern)
    return "no client names a server by its address (RFC 6066, 3)"


def network_problem(text: str) -> str | None:
    """What is odd about a network of clients; None if nothing is."""
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        return f"IPv4 clients are compared as IPv4: write '{network.network_address.ipv4_mapped}'"
    address = text.partition("/")[0]
    if str(network.network_address) != str(ipaddress.ip_address(address)):
        return f"means {str(network)!r}: bits are set behind the length of the prefix"
    return None


def unreached(routes: Sequence[Route]) -> Iterator[tuple[int, int]]:
    """Each route that gets no request, and the first route before it that takes all of them."""
    for later, route in enumerate(routes):
        for earlier in range(later):
            if _takes_all_of(routes[earlier].when, route.when):
                yield later, earlier
                break


def _takes_all_of(one: Match, other: Match) -> bool:
    """Whether `one` holds for every request for which `other` holds; ``False`` if that is not certain."""
    if one.path == "/*" and other.path is None and one.model_copy(update={"path": None}) == Match():
        return True  # but for "OPTIONS *"
    names = all(_covers(getattr(one, key), getattr(other, key), ignore_case=True) for key in ("host", "sni"))
    if not (names and _covers_path(one.path, other) and _covers_prefix(one.prefix, other)):
        return False
    if one.method is not None and not (other.method and _parts(one.method) >= _parts(other.method)):
        return False
    if one.caller is not None and not (other.caller and _covers(one.caller, other.caller, ignore_case=True)):
        return False
    if one.client is not None and not (other.client and _contains(one.client, other.client)):
        return False
    return _covers_values(_lower(one.header), _lower(other.header)) and _covers_values(one.query, other.query)


def _lower(header: dict[str, str]) -> dict[str, str]:
    return {name.lower(): pattern for name, pattern in header.items()}


def _covers_values(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether the patterns of `one` match all values that those of `other` match, name by name."""
    return all(
        name in other and _covers(pattern, other[name], ignore_case=False) for name, pattern in one.items()
    )


def _covers_path(pattern: str | None, other: Match) -> bool:
    """Whether a pattern matches every path that `other` takes."""
    if _covers(pattern, other.path, ignore_case=False):
        return True
    start, star, rest = (pattern or "").partition("*")
    simple = star and not rest and not _MARKS.search(start) and not start.startswith("~")
    return bool(simple and other.prefix is not None and (other.prefix.rstrip("/") or "/").startswith(start))


def _covers_prefix(prefix: str | None, other: Match) -> bool:
    """Whether every path that `other` takes has a prefix."""
    if prefix is None or not prefix.rstrip("/"):
        return True  # but for "OPTIONS *"
    if other.prefix is not None and has_prefix(other.prefix, prefix):
        return True
    if other.path is None or other.path.startswith("~"):
        return False
    start = other.path[: _mark_in(other.path)]
    return has_prefix(start, prefix) if start == other.path else start.startswith(prefix.rstrip("/") + "/")


def _parts(method: str) -> frozenset[str]:
    return frozenset(part.strip() for part in method.split("|"))


def _contains(one: str, other: str) -> bool:
    outer, inner = (ipaddress.ip_network(text, strict=False) for text in (one, other))
    if isinstance(outer, ipaddress.IPv4Network) and isinstance(inner, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(outer, ipaddress.IPv6Network) and isinstance(inner, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _covers(one: str | None, other: str | None, *, ignore_case: bool) -> bool:
    """Whether a pattern matches every text that another one matches, as far as their texts show it."""
    if one is None or one in (other, "*"):
        return True
    if other is None or one.startswith("~") or other.startswith("~"):
        return False
    if ignore_case:
        one, other = one.lower(), other.lower()
    if not _MARKS.search(other):
        return compile_pattern(one)(other)
    start, star, rest = one.partition("*")
    if not star or _MARKS.search(start):
        return one == other
    if not rest:
        return other[: _mark_in(other)].startswith(start)
    return (
        not start and not _MARKS.search(rest) and _MARKS.split(other)[-1].endswith(rest) and "[" not in other
    )


def _mark_in(text: str) -> int:
    found = _MARKS.search(text)
    return found.start() if found is not None else len(text)
