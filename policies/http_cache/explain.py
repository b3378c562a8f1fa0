"""The decisions of `freshness` and `reuse` in words, each with the rule behind it."""

from __future__ import annotations

from policies.http_cache.causes import NOTHING, Asked, cause
from policies.http_cache.directives import FOREVER, Header, read_directives
from policies.http_cache.freshness import HEURISTIC_SHARE, Answer, NotStored, Request, read_answer
from policies.http_cache.groups import read_groups
from policies.http_cache.invalidation import invalidated, invalidates
from policies.http_cache.partial import Part, answers, is_whole, read_part, use_of_part
from policies.http_cache.reuse import Use, may_serve_stale_on_error, reuse
from policies.http_cache.statuses import row
from policies.http_cache.validation import validators
from policies.http_cache.vary import variant_of

RULES = {
    NotStored.METHOD: "only an answer to GET is, or one to POST that also answers a GET (RFC 9110, 9.3.3)",
    NotStored.REQUEST_BODY: "the request has a body, which is not part of the key (RFC 9111, 2)",
    NotStored.REQUEST_NO_STORE: "the request says no-store (RFC 9111, 5.2.1.5)",
    NotStored.STATUS: (
        "the status needs explicit freshness or is not understood, or nobody asked for a part (RFC 9111, 3)"
    ),
    NotStored.REQUEST_FIELDS: (
        "a field of this request may have caused it, and Vary does not name that (RFC 9110, 12.5.5)"
    ),
    NotStored.NO_STORE: "the answer says no-store (RFC 9111, 5.2.2.5)",
    NotStored.PRIVATE: "the answer says private, and this is a shared cache (RFC 9111, 5.2.2.7)",
    NotStored.NO_CACHE: "no-cache, and no validator to ask with (RFC 9111, 5.2.2.4)",
    NotStored.AUTHORIZATION: "the request has credentials, and the answer allows no sharing (RFC 9111, 3.5)",
    NotStored.VARY: "Vary has *, which no request matches (RFC 9111, 4.1)",
    NotStored.SET_COOKIE: "it sets a cookie, and does not say how long it is fresh (RFC 9111, 7.3)",
    NotStored.NO_FRESHNESS: "nothing says how long it is fresh, and there is no validator (RFC 9111, 4.2)",
    NotStored.NO_STRONG_ETAG: "a part without a strong ETag cannot be combined with others (RFC 9111, 3.4)",
    NotStored.CONTENT_RANGE: "Content-Range does not name one part that fits the body (RFC 9110, 14.4)",
    NotStored.STALE: "it was stale when it came, and cannot be validated (RFC 9111, 4.2)",
}
"""The rule behind each reason that a response and its request can give."""

_USES = {
    Use.FRESH: "answered with it: it is fresh (RFC 9111, 4.2)",
    Use.STALE: "answered with it: the request takes a stale one (RFC 9111, 5.2.1.2)",
    Use.STALE_WHILE_REVALIDATE: (
        "answered with it, and revalidated behind the answer: stale-while-revalidate (RFC 5861, 3)"
    ),
}


def explain_answer(
    method: str,
    uri: str,
    status: int,
    request_header: Header,
    response_header: Header,
    request: Request,
    *,
    ttl: float | None,
    stale: float,
    targeted: bool,
    now: float,
    elapsed: float,
    fields: Asked = NOTHING,
) -> list[str]:
    """What the cache does with a response, as lines of text.

    Parameters
    ----------
    method, uri : str
        Of the request; the URI is absolute.
    status : int
        Of the response.
    request_header, response_header : callable
    request : Request
        What the request allows.
    ttl, stale, targeted
        The settings, see `read_answer`.
    now : float
        Seconds since 1970 when the response arrived.
    elapsed : float
        Seconds until the same request comes again.
    fields : Asked
        The fields of the request as far as the origin got them from the client.
    """
    if invalidates(method, status):
        return [f"invalidates: {line}" for line in _invalidations(uri, response_header)]
    part = _part(method, request_header, response_header) if status == 206 else None
    if isinstance(part, NotStored):
        return [_not_stored(part)]
    answer = read_answer(
        200 if status == 206 else status,  # a part is judged as its whole would be
        response_header, request, request_header("authorization") is not None, ttl, now, 0.0,
        stale=stale, targeted=targeted, asked=fields,
    )  # fmt: skip
    if answer.reason is NotStored.REQUEST_FIELDS:
        return [_caused(status, fields, response_header)]
    if answer.reason is not None:
        return [_not_stored(answer.reason)]
    age = answer.age + elapsed
    if part is None:
        stored, later = "yes (RFC 9111, 3)", _later(answer, request, age, response_header)
    else:
        enough = answers(part, request, request_header)
        stored, later = _held(part), _later_of_part(answer, request, age, enough)
    return [
        f"stored: {stored}",
        f"fresh: {_seconds(answer.lifetime)}, {_source(response_header, ttl, targeted)}",
        f"age: {_seconds(answer.age)} when it came (RFC 9111, 4.2.3)",
        *_selection(request_header, response_header),
        f"after {_seconds(elapsed)}: {later}",
    ]


def _not_stored(reason: NotStored) -> str:
    return f"stored: no, {reason}: {RULES.get(reason, '')}"


def _caused(status: int, fields: Asked, response_header: Header) -> str:
    found = cause(status, fields, response_header("vary"))
    known = row(status)
    if found in known.needs and found not in fields[0]:
        why = f"other requests have {found}, and Vary does not name it"
    else:
        why = f"{found} of this request may have caused it, and Vary does not name that"
    return (
        f"stored: no, {NotStored.REQUEST_FIELDS}: {why} (RFC 9110, 12.5.5; status {status}: {known.section})"
    )


def _part(method: str, request_header: Header, response_header: Header) -> Part | NotStored | None:
    """What a 206 holds; None if it holds the whole."""
    length = response_header("content-length") or ""
    found = read_part(method, request_header, response_header, int(length) if length.isdecimal() else None)
    return found if isinstance(found, NotStored) or not is_whole(found) else None


def _held(part: Part) -> str:
    first, last = part.at.start, part.at.stop - 1
    return f"yes, bytes {first} to {last} of {part.complete}, for ranges within them (RFC 9111, 3.3)"


def _later_of_part(answer: Answer, request: Request, age: float, enough: bool) -> str:
    use = use_of_part(reuse(answer, request, age), enough)
    return _USES.get(use, "fetched anew: a part is not validated (RFC 9111, 4.3)")


def _seconds(seconds: float) -> str:
    return "for ever" if seconds >= FOREVER else f"{seconds:g} s"


def _invalidations(uri: str, response_header: Header) -> list[str]:
    groups = read_groups(response_header("cache-group-invalidation"))
    return [f"{target} (RFC 9111, 4.4)" for target in invalidated(uri, response_header)] + [
        f"all of this origin in the group {group!r} (RFC 9875, 3)" for group in groups
    ]


def _source(response_header: Header, ttl: float | None, targeted: bool) -> str:
    """What says how long a response is fresh, in the order of RFC 9111, 4.2.1."""
    directives, aimed = read_directives(response_header, targeted)
    name = "CDN-Cache-Control (RFC 9213)" if aimed else "Cache-Control"
    for directive, section in (("s-maxage", "5.2.2.10"), ("max-age", "5.2.2.1")):
        if directive in directives:
            return f"by {directive} in {name} (RFC 9111, {section})"
    if response_header("expires") is not None and not aimed:
        return "by Expires less Date (RFC 9111, 5.3)"
    if ttl is not None:
        return "by the ttl of the settings, because the answer names none"
    if response_header("last-modified") is not None:
        return f"by a heuristic: {HEURISTIC_SHARE:.0%} of the time since Last-Modified (RFC 9111, 4.2.2)"
    return "because the answer names none: it is stored to be validated (RFC 9111, 4.3)"


def _selection(request_header: Header, response_header: Header) -> list[str]:
    lines = []
    if fields := variant_of(response_header, request_header).fields:
        wanted = ", ".join(f"{name}: {value or '(none)'}" for name, value in fields)
        lines.append(f"selected: by requests with {wanted} (RFC 9111, 4.1)")
    if groups := read_groups(response_header("cache-groups")):
        lines.append(f"groups: {', '.join(groups)} (RFC 9875)")
    return lines


def _later(answer: Answer, request: Request, age: float, response_header: Header) -> str:
    use = reuse(answer, request, age)
    if use is not Use.ASK:
        return _USES[use]
    if answer.validate:
        why = "no-cache (RFC 9111, 5.2.2.4)"
    elif request.forward is not None or age > request.max_age:
        why = "the request insists (RFC 9111, 5.2.1)"
    else:
        why = f"it is stale by {_seconds(age - answer.lifetime)} (RFC 9111, 4.2)"
    fields = [name for name, _ in validators(response_header)]
    how = f"validated by {' and '.join(fields)} (RFC 9111, 4.3.1)" if fields else "fetched anew"
    fails = (
        "answered with it" if may_serve_stale_on_error(answer, request, age) else "answered with the failure"
    )
    return f"{how}, for {why}; if the origin fails, {fails} (RFC 9111, 4.2.4; RFC 5861, 4)"
