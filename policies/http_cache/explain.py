"""The decisions of `freshness` and `reuse` in words, each with the rule behind it."""

from __future__ import annotations

from typing import NamedTuple

from policies.http_cache.causes import NOTHING, Asked, cause
from policies.http_cache.dates import parse_http_date
from policies.http_cache.directives import FOREVER, Header, read_directives
from policies.http_cache.freshness import (
    Answer,
    NotStored,
    Request,
    read_answer,
)
from policies.http_cache.groups import read_groups
from policies.http_cache.invalidation import invalidated, invalidates, stands_for_get
from policies.http_cache.lifetime import HEURISTIC_LIMIT, HEURISTIC_SHARE
from policies.http_cache.partial import Part, answers, is_whole, read_part, use_of_part
from policies.http_cache.reuse import Use, may_serve_stale_on_error, reuse
from policies.http_cache.statuses import STATUSES, Storing, row
from policies.http_cache.validation import validators
from policies.http_cache.vary import variant_of

RULES = {
    NotStored.METHOD: "only an answer to GET is, or one to POST that also answers a GET (RFC 9110, 9.3.3)",
    NotStored.REQUEST_BODY: "the request has a body, which is not part of the key (RFC 9111, 2)",
    NotStored.REQUEST_NO_STORE: "the request says no-store (RFC 9111, 5.2.1.5)",
    NotStored.STATUS: "this status is not stored, or not without explicit freshness (RFC 9111, 3)",
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
    NotStored.TOO_LARGE: "the body is larger than the whole cache",
    NotStored.INCOMPLETE: "the end of the body could not be told from a cut (RFC 9112, 6.3 and 8)",
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


class Case(NamedTuple):
    """A request and the response to it, as the cache sees both.

    Attributes
    ----------
    method, uri : str
        Of the request; the URI is absolute.
    status : int
        Of the response.
    request_header, response_header : callable
    request : Request
        What the request allows.
    asked : Asked
        The fields of the request as far as the origin got them from the client.
    """

    method: str
    uri: str
    status: int
    request_header: Header
    response_header: Header
    request: Request
    asked: Asked = NOTHING


def explain_answer(
    case: Case, *, ttl: float | None, stale: float, targeted: bool, now: float, elapsed: float
) -> list[str]:
    """What the cache does with a response, as lines of text.

    Parameters
    ----------
    case : Case
    ttl, stale, targeted
        The settings, see `read_answer`.
    now : float
        Seconds since 1970 when the response arrived.
    elapsed : float
        Seconds until the same request comes again.
    """
    lines, header = [], case.response_header
    if invalidates(case.method, case.status):
        lines = [f"invalidates: {line}" for line in _invalidations(case.uri, header)]
        if not stands_for_get(case.method, case.uri, header):
            return lines
        case = case._replace(request=Request())
    part = _part(case) if case.status == 206 else None
    if isinstance(part, NotStored):
        return [*lines, f"stored: no, {part}: {_why_not(part, case)}"]
    posted = case.method == "POST"
    answer = read_answer(
        200 if case.status == 206 else case.status,  # a part is judged as its whole would be
        header, case.request, case.request_header("authorization") is not None, ttl, now, 0.0,
        stale=stale, targeted=targeted, asked=case.asked, posted=posted,
    )  # fmt: skip
    if answer.reason is not None:
        return [*lines, f"stored: no, {answer.reason}: {_why_not(answer.reason, case)}"]
    age = answer.age + elapsed
    if posted:  # the request that selects it is a GET
        later = f"a GET is {_later(case, answer, age)}"
    else:
        later = _later(case, answer, age) if part is None else _later_of_part(case, answer, age, part)
    return [
        *lines,
        f"stored: {'yes (RFC 9111, 3)' if part is None else _held(part)}",
        f"fresh: {_seconds(answer.lifetime)}, {_source(header, None if posted else ttl, targeted, now)}",
        f"age: {_age(answer, header)}",
        *_selection(case, answer),
        f"after {_seconds(elapsed)}: {later}",
    ]


def _why_not(reason: NotStored, case: Case) -> str:
    """The rule behind a reason, as exactly as this case allows."""
    known, status = row(case.status), case.status
    if reason is NotStored.REQUEST_FIELDS:
        found = cause(status, case.asked, case.response_header("vary"))
        why = f"{found} of this request may have caused it, and Vary does not name that"
        if found in known.needs and found not in case.asked[0]:
            why = f"{found} of other requests may have prevented it, and Vary does not name that"
        return f"{why} (RFC 9110, 12.5.5; {status}: {known.section})"
    if reason is not NotStored.STATUS:
        return RULES[reason]
    if known.storing is Storing.NEVER:
        return f"a shared cache does not store {status} ({known.section})"
    if known.storing is Storing.PART:
        return "nobody asked for a part (RFC 9110, 15.3.7)"
    if status not in STATUSES and "must-understand" in read_directives(case.response_header, True)[0]:
        return f"must-understand, and this cache does not know {status} (RFC 9111, 5.2.2.3)"
    return f"without explicit freshness, {status} is not stored (RFC 9111, 3; RFC 9110, 15.1)"


def _part(case: Case) -> Part | NotStored | None:
    """What a 206 holds; None if it holds the whole."""
    length = case.response_header("content-length") or ""
    known = int(length) if length.isdecimal() else None
    found = read_part(case.method, case.request_header, case.response_header, known)
    return found if isinstance(found, NotStored) or not is_whole(found) else None


def _held(part: Part) -> str:
    first, last = part.at.start, part.at.stop - 1
    return f"yes, bytes {first} to {last} of {part.complete}, for ranges within them (RFC 9111, 3.3)"


def _later_of_part(case: Case, answer: Answer, age: float, part: Part) -> str:
    enough = answers(part, case.request, case.request_header)
    use = use_of_part(reuse(answer, case.request, age), enough)
    return _USES.get(use, "fetched anew: a part is not validated (RFC 9111, 4.3)")


def _seconds(seconds: float) -> str:
    if seconds >= FOREVER:
        return "for ever"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"


def _age(answer: Answer, header: Header) -> str:
    by_date = answer.age > 0 and header("age") is None
    what = "when it came, by its Date" if by_date else "when it came"
    return f"{_seconds(answer.age)} {what} (RFC 9111, 4.2.3)"


def _invalidations(uri: str, response_header: Header) -> list[str]:
    groups = read_groups(response_header("cache-group-invalidation"))
    return [f"{target} (RFC 9111, 4.4)" for target in invalidated(uri, response_header)] + [
        f"all of this origin in the group {group!r} (RFC 9875, 3)" for group in groups
    ]


def _source(header: Header, ttl: float | None, targeted: bool, now: float) -> str:
    """What says how long a response is fresh, in the order of RFC 9111, 4.2.1."""
    directives, aimed = read_directives(header, targeted)
    name = "CDN-Cache-Control (RFC 9213)" if aimed else "Cache-Control"
    for directive, section in (("s-maxage", "5.2.2.10"), ("max-age", "5.2.2.1")):
        if directive in directives:
            return f"by {directive} in {name} (RFC 9111, {section})"
    expires, dated = header("expires"), parse_http_date(header("date"), now) is not None
    if expires is not None and not aimed:
        if parse_http_date(expires, now) is None:
            return "by Expires, which is no date and so is in the past (RFC 9111, 5.3)"
        return f"by Expires less {'Date' if dated else 'the time when it came'} (RFC 9111, 5.3)"
    if ttl is not None:
        return "by the ttl of the settings, because the answer names none"
    modified = parse_http_date(header("last-modified"), now)
    if modified is not None:
        most = f", at most {_seconds(HEURISTIC_LIMIT)}"
        return (
            f"by a heuristic: {HEURISTIC_SHARE:.0%} of the time since Last-Modified{most} (RFC 9111, 4.2.2)"
        )
    return "because the answer names none: it is stored to be validated (RFC 9111, 4.3)"


def _selection(case: Case, answer: Answer) -> list[str]:
    lines = []
    if answer.omitted:
        lines.append(f"without: {', '.join(sorted(answer.omitted))} (RFC 9111, 5.2.2.4 and 5.2.2.7)")
    if fields := variant_of(case.response_header, case.request_header).fields:
        wanted = ", ".join(f"{name}: {value or '(none)'}" for name, value in fields)
        lines.append(f"selected: by requests with {wanted} (RFC 9111, 4.1)")
    if groups := read_groups(case.response_header("cache-groups")):
        lines.append(f"groups: {', '.join(groups)} (RFC 9875)")
    return lines


def _later(case: Case, answer: Answer, age: float) -> str:
    """What happens to the same request later."""
    request = case.request
    use, gone = reuse(answer, request, age), age >= answer.kept
    if use is not Use.ASK and not gone:
        return _USES[use]
    why = "it is useless by then, and dropped" if gone else _insistence(answer, request, age)
    if request.only_if_cached:
        return f"answered with 504, for {why}, and it wants a stored answer only (RFC 9111, 5.2.1.7)"
    fields = [name for name, _ in validators(case.response_header)]
    how = f"validated by {' and '.join(fields)} (RFC 9111, 4.3.1)" if fields else "fetched anew"
    stands_in = not gone and may_serve_stale_on_error(answer, request, age, case.status)
    fails = "answered with it" if stands_in else "answered with the failure"
    return f"{how}, for {why}; if the origin fails, {fails} (RFC 9111, 4.2.4; RFC 5861, 4)"


def _insistence(answer: Answer, request: Request, age: float) -> str:
    """Why the origin must be asked."""
    left = answer.lifetime - age
    if answer.validate:
        return "no-cache (RFC 9111, 5.2.2.4)"
    if request.forward is not None:
        return "the request insists (RFC 9111, 5.2.1)"
    if age > request.max_age:
        return f"the request takes no answer older than {_seconds(request.max_age)} (RFC 9111, 5.2.1.1)"
    if left > 0:
        wanted = f"the request wants it fresh for another {_seconds(request.min_fresh)}"
        return f"{wanted}, and it is for {_seconds(left)} (RFC 9111, 5.2.1.3)"
    return f"it is stale by {_seconds(age - answer.lifetime)} (RFC 9111, 4.2)"
