"""The path that an upstream gets, or a redirect leads to, in place of the request's own."""

from __future__ import annotations

from urllib.parse import quote, unquote

from policies.settings.ingress import Redirect, Rewrite

SAFE = "/!$&'()*+,;=:@~"
"""Characters of a path that are not percent-encoded (RFC 3986, 3.3)."""


def has_prefix(path: str, prefix: str) -> bool:
    """Whether whole elements of `path` are `prefix`, whose last slash does not count.

    Examples
    --------
    >>> has_prefix("/v2/x", "/v2"), has_prefix("/v2", "/v2/"), has_prefix("/v2example", "/v2")
    (True, True, False)
    """
    prefix = prefix.rstrip("/")
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")


def new_target(change: Rewrite | Redirect, target: str, decoded: str) -> str:
    """The target with its path changed; the query stays.

    Parameters
    ----------
    change : Rewrite or Redirect
    target : str
        Path and query as sent.
    decoded : str
        The path as routes match it, see `policies.reverse.routing.normal_path`.

    Examples
    --------
    >>> new_target(Rewrite(strip="/foo", prefix="/xyz/"), "/foo/bar?a=b", "/foo/bar")
    '/xyz/bar?a=b'
    >>> new_target(Rewrite(strip="/foo"), "/foo", "/foo")
    '/'

    Notes
    -----
    What follows the prefix stays as it was sent, so that ``%2F`` does not become a slash. But if the path has
    dot segments, in whatever way they are written, the path in which they are resolved is changed: else
    ``/api/../x`` could leave the prefix that the upstream is to see.
    """
    path, mark, query = target.partition("?")
    if change.path is not None:
        path = change.path
    elif (change.strip is not None or change.prefix is not None) and path.startswith("/"):
        path = _with_prefix(path, change.strip or "", change.prefix or "", decoded)
    return path + mark + query


def _with_prefix(path: str, strip: str, prefix: str, decoded: str) -> str:
    """`path` with the elements `strip` at its beginning, written in any way, replaced by `prefix`."""
    strip = unquote(strip).rstrip("/")
    if not has_prefix(decoded, strip):
        return path
    rest = None
    if unquote(path, errors="replace") == decoded:
        rest = _after(path, strip)
    if rest is None:  # dot segments were resolved, or the prefix ends at an encoded slash
        rest = quote(decoded[len(strip) :], safe=SAFE)
    changed = prefix.rstrip("/") + rest or "/"
    return "/" + changed.lstrip("/") if changed.startswith("//") else changed  # "//x" would name a host


def _after(path: str, strip: str) -> str | None:
    """What follows the elements `strip`, given decoded, in a path as it was sent; None if no slash does."""
    elements = path.split("/")
    for count in range(1, len(elements) + 1):
        if unquote("/".join(elements[:count]), errors="replace") == strip:
            return path[len("/".join(elements[:count])) :]
    return None
