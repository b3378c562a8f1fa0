"""Request fields that may have caused an answer, so that it is not everybody's.

An origin that lets a request field change its answer has to name this field in Vary (RFC 9110, 12.5.5).
Many do not do so for errors. If such an error is stored, one request takes the object away from everybody:
cache-poisoned denial of service (Nguyen, Lo Iacono and Federrath, "Your Cache Has Fallen", ACM CCS 2019).

So a response is everybody's only if no field that Vary leaves out may be behind it. These may be:

- behind any response: fields that name another target than the key (`OVERRIDES`);
- behind a redirect too: fields about the scheme, host or port that the client used (`REDIRECTING`);
- behind an error too: fields that are no part of an ordinary request (`UNUSUAL`, and all ``X-`` fields),
  oversized and odd fields, and the fields that belong to that status (`policies.http_cache.statuses`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from policies.http_cache.directives import Header
from policies.http_cache.statuses import row

OVERRIDES = frozenset(
    {
        "base-url", "http-host", "http-method-override", "http-url", "request-uri", "x-backend-host",
        "x-forwarded-host", "x-forwarded-path", "x-forwarded-prefix", "x-forwarded-uri",
        "x-host", "x-http-destinationurl", "x-http-host-override", "x-http-method", "x-http-method-override",
        "x-invoke-output", "x-invoke-path", "x-invoke-query", "x-invoke-status", "x-matched-path", "x-method",
        "x-method-override", "x-middleware-prefetch", "x-middleware-rewrite", "x-middleware-subrequest",
        "x-now-route-matches", "x-original-host", "x-original-method", "x-original-uri", "x-original-url",
        "x-override-url", "x-proxy-url", "x-real-host", "x-rewrite-uri", "x-rewrite-url",
    }
)  # fmt: skip
"""Some frameworks take method, host or path from these, so the response may be another resource's."""

REDIRECTING = frozenset(
    {
        "forwarded", "front-end-https", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-protocol",
        "x-forwarded-scheme", "x-forwarded-server", "x-forwarded-ssl", "x-scheme", "x-url-scheme",
    }
)  # fmt: skip
"""Redirects to another scheme, host or port depend on these."""

UNUSUAL = frozenset(
    {
        # preconditions and ranges: RFC 9110, 13 and 14. Browsers send If-None-Match and If-Modified-Since.
        "if-match", "if-range", "if-unmodified-since", "range", "request-range",
        # content, which a GET lacks: RFC 9110, 8 and 9.3.1; RFC 9112, 6
        "content-disposition", "content-encoding", "content-language", "content-length", "content-location",
        "content-md5", "content-range", "content-type", "digest", "trailer", "transfer-encoding",
        # the connection and the way: RFC 9110, 7.6, 7.8 and 10.1; RFC 6455, 4.1; RFC 8470, 5.1; RFC 8586
        "cdn-loop", "early-data", "expect", "fastly-ff", "front-end-https", "http2-settings", "max-forwards",
        "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version",
        "upgrade",
        # credentials: RFC 9110, 11.6.2
        "authorization",
        # other negotiation: RFC 9110, 12.5.2; RFC 2295; RFC 2774; RFC 3229; RFC 7089; RFC 7240
        "a-im", "accept-charset", "accept-datetime", "accept-features", "c-man", "c-opt", "man", "negotiate",
        "opt", "prefer",
        # what the request is for: Fetch, 2.2.7 and 4.9; Service Workers, 7
        "access-control-request-headers", "access-control-request-method", "purpose", "sec-purpose",
        "service-worker",
        # other protocols over HTTP: RFC 4918, 10; SOAP
        "depth", "destination", "if", "lock-token", "overwrite", "soapaction", "timeout", "translate",
        # addresses and identities that a client can claim
        "cf-connecting-ip", "client-ip", "cluster-client-ip", "fastly-client-ip", "from", "proxy",
        "proxy-client-ip", "remote-addr", "true-client-ip", "wl-proxy-client-ip",
    }
)  # fmt: skip
"""Fields that an ordinary request of a browser lacks, and that servers answer with errors."""

ORDINARY_X = frozenset(
    {
        "x-amzn-trace-id", "x-b3-parentspanid", "x-b3-sampled", "x-b3-spanid", "x-b3-traceid",
        "x-cloud-trace-context", "x-correlation-id", "x-forwarded-for", "x-request-id",
    }
)  # fmt: skip
"""``X-`` fields that proxies add to every request, mostly to follow it."""

TOLD_BY_PROXIES = REDIRECTING | {
    "cdn-loop", "cf-connecting-ip", "fastly-client-ip", "true-client-ip", "via", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-prefix", "x-real-ip",
}  # fmt: skip
"""Fields that the proxies in front of this one set. If those are trusted, no client has caused them."""

MOST_BYTES = 3 * 2**10
"""Names and values of a request that no known server finds too large (the least limit is uWSGI's, 4 KiB)."""
MOST_FIELDS = 64
"""Fields that no known server finds too many (the least limit is 100, by Apache httpd and Gunicorn)."""

_NAME = re.compile(r"[a-z0-9-]+")
_VALUE = re.compile(r"[\t -~]*")
_PREFERENCES = re.compile(r'[\w*/+.;=,"\t -]*', re.ASCII)
_CODINGS = frozenset(
    {"", "*", "br", "compress", "dcb", "dcz", "deflate", "gzip", "identity", "x-gzip", "zstd"}
)
_ADDRESSES = re.compile(r"[0-9a-fA-F:., \t\[\]]*")
_FORWARDED_HOST = re.compile(r'\bhost\s*=\s*"?([^";,\s]*)', re.IGNORECASE)
_FORWARDED_PROTO = re.compile(r"\bproto\s*=", re.IGNORECASE)


Asked = tuple[tuple[str, ...], Header]
"""The fields of a request: their names, in lower case and one for each line, and the values by name."""

NOTHING: Asked = ((), lambda _name: None)
"""A request without fields."""


def cause(status: int, asked: Asked, vary: str | None) -> str | None:
    """The request field that may have caused a response, though requests do not select it by that field.

    Parameters
    ----------
    status : int
        Of the response.
    asked : Asked
        The request's fields, as far as the origin got them from the client.
    vary : str or None
        Of the response: the fields by which requests select it.

    Returns
    -------
    str or None
        A name in lower case, or what is unusual about all fields; None if the response is everybody's.
    """
    all_names, value = asked
    if status < 300 and "forwarded" not in all_names and OVERRIDES.isdisjoint(_dashed(all_names)):
        return None
    selecting = frozenset(part.strip().lower() for part in (vary or "").split(","))
    names = tuple(name for name in all_names if name not in selecting)
    dashed = _dashed(names)
    forwarded = value("forwarded") if "forwarded" in names else None
    found = _first(dashed, OVERRIDES) or _forwarded_elsewhere(forwarded, value("host"))
    if found is not None or status < 300:
        return found
    if status < 400:
        ignored = forwarded is None or _FORWARDED_PROTO.search(forwarded) is None
        return _first((name for name in dashed if name != "forwarded" or not ignored), REDIRECTING)
    known = row(status)
    missing = sorted(known.needs - selecting)
    return missing[0] if missing else _first(dashed, known.causes) or _unusual(dashed) or _odd(asked, names)


@lru_cache(256)  # the requests of one client mostly have the same names
def _dashed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as CGI and its successors see them: "_" and "-" are the same to them. RFC 3875, 4.1.18"""
    return tuple(name.replace("_", "-") for name in names)


def _first(names: Iterable[str], among: frozenset[str]) -> str | None:
    return next((name for name in names if name in among), None)


def _forwarded_elsewhere(forwarded: str | None, host: str | None) -> str | None:
    """Whether Forwarded names another host than Host, which is in the key. RFC 7239, 5.3"""
    others = _FORWARDED_HOST.findall(forwarded or "")
    return "forwarded" if any(other.lower() != (host or "").lower() for other in others) else None


def _unusual(names: Iterable[str]) -> str | None:
    """The first field that an ordinary request lacks."""
    for name in names:
        if name in UNUSUAL or (name.startswith("x-") and name not in ORDINARY_X):
            return name
    return None


def _odd(asked: Asked, names: Iterable[str]) -> str | None:
    """The first of `names` that is odd itself or has an odd value, or what is too much about all fields."""
    all_names, value = asked
    for name in names:
        if _NAME.fullmatch(name) is None or not _is_plain(name, value(name) or ""):
            return name
    size = sum(len(name) + len(value(name) or "") for name in dict.fromkeys(all_names))
    if size > MOST_BYTES:
        return f"more than {MOST_BYTES} bytes of fields"
    return f"more than {MOST_FIELDS} fields" if len(all_names) > MOST_FIELDS else None


def _is_plain(name: str, value: str) -> bool:
    """Whether a value is as ordinary requests have it."""
    if name == "accept-encoding":
        codings = {part.partition(";")[0].strip().lower() for part in value.split(",")}
        return codings <= _CODINGS and _PREFERENCES.fullmatch(value) is not None
    if name == "x-forwarded-for":
        return _ADDRESSES.fullmatch(value) is not None
    return (_PREFERENCES if name.startswith("accept") else _VALUE).fullmatch(value) is not None
