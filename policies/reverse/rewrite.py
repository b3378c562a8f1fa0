"""The path that an upstream gets, or a redirect leads to, in place of the request's own."""

from __future__ import annotations

from urllib.parse import quote

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


def replace_prefix(path: str, strip: str, prefix: str) -> str:
    """`path` with the elements `strip` at its beginning replaced by `prefix`; as it is if it lacks them.

    Examples
    --------
    >>> replace_prefix("/foo/bar", "/foo", "/xyz/")
    '/xyz/bar'
    >>> replace_prefix("/foo", "/foo", "")
    '/'
    """
    if not has_prefix(path, strip):
        return path
    rest = path[len(strip.rstrip("/")) :]
    return prefix.rstrip("/") + rest or "/"


def new_target(change: Rewrite | Redirect, target: str, decoded: str) -> str:
    """The target with its path changed; the query stays.

    Parameters
    ----------
    change : Rewrite or Redirect
    target : str
        Path and query as sent.
    decoded : str
        The path as routes match it, see `policies.reverse.routing.normal_path`. It is used where `strip` is
        written in another way in `target`, such as ``/%61pi``.
    """
    path, mark, query = target.partition("?")
    strip, prefix = change.strip, change.prefix
    if change.path is not None:
        path = change.path
    elif strip is not None or prefix is not None:
        if strip and not has_prefix(path, strip) and has_prefix(decoded, strip):
            path = quote(decoded, safe=SAFE)
        path = replace_prefix(path, strip or "", prefix or "")
    return path + mark + query
