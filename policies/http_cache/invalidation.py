"""What an unsafe method does to what is stored. RFC 9111, 4.4"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from policies.http_cache.directives import Header

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def invalidates(method: str, status: int) -> bool:
    """Whether an answer makes what is stored for its URI invalid: it is no error."""
    return method not in SAFE_METHODS and 200 <= status < 400


def _same_origin(reference: str | None, uri: str) -> str | None:
    """The URI that a reference means, if it has the origin of `uri`: no other may be touched."""
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
    """The URIs that are not to be trusted any more.

    Parameters
    ----------
    uri : str
        Absolute, of the request.
    header : callable
        Of the answer to an unsafe method that `invalidates`.
    """
    others = (_same_origin(header(name), uri) for name in ("location", "content-location"))
    return list(dict.fromkeys([uri, *(other for other in others if other is not None)]))


def stands_for_get(method: str, uri: str, header: Header) -> bool:
    """Whether an answer to POST says to be what a GET of the same URI would give. RFC 9110, 9.3.3"""
    return method == "POST" and _same_origin(header("content-location"), uri) == uri
