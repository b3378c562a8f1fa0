"""What an unsafe method does to stored responses. RFC 9111, 4.4"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from policies.http_cache.directives import Header

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def invalidates(method: str, status: int) -> bool:
    """Whether a response invalidates what is stored for its URI: the method is unsafe, and it succeeded."""
    return method not in SAFE_METHODS and 200 <= status < 400


def _same_origin(reference: str | None, uri: str) -> str | None:
    """The absolute URI of a reference if it has the origin of `uri`; only such URIs may be invalidated."""
    if reference is None:
        return None
    try:
        parts, base = urlsplit(urljoin(uri, reference)), urlsplit(uri)
        default = 443 if base.scheme == "https" else 80
        same = (parts.scheme, parts.hostname, parts.port or default) == (
            base.scheme, base.hostname, base.port or default,
        )  # fmt: skip
    except ValueError:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{base.scheme}://{base.netloc}{path}" if same else None


def invalidated(uri: str, header: Header) -> list[str]:
    """The URIs whose stored responses become invalid.

    Parameters
    ----------
    uri : str
        Of the request, absolute.
    header : callable
        Of the response, for which `invalidates` is true.
    """
    others = (_same_origin(header(name), uri) for name in ("location", "content-location"))
    return list(dict.fromkeys([uri, *(other for other in others if other is not None)]))


def stands_for_get(method: str, uri: str, header: Header) -> bool:
    """Whether a response to POST says that it is the response to a GET of the same URI. RFC 9110, 9.3.3"""
    return method == "POST" and _same_origin(header("content-location"), uri) == uri
