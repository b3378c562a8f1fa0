"""What the cache makes of an answer that somebody has in a file, as ``curl -i`` writes it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from policies.explaining import explain_answer
from policies.freshness import read_request
from policies.problems import BadInput
from policies.settings import ProxySettings
from realproxy.cache import cache_key
from realproxy.check import Explanation, request_of
from realproxy.http1 import Malformed, ResponseHead, parse_response
from realproxy.sides import FORWARD_RULES


def explain_stored(
    settings: ProxySettings,
    taken: Explanation,
    method: str,
    url: str,
    headers: Mapping[str, str],
    text: bytes,
    elapsed: float,
    where: str,
) -> list[str]:
    """What becomes of an answer to a request, line by line.

    Parameters
    ----------
    settings : ProxySettings
        Of the proxy.
    taken : Explanation
        Who takes the request.
    method, url, headers
        The request, as for `realproxy.check.explain`.
    text : bytes
        The answer: its status line and fields; a body does not matter.
    elapsed : float
        Seconds after which the same request comes again.
    where : str
        What messages call the answer.

    Raises
    ------
    BadInput
        If this is no answer, or none that this proxy may store.
    """
    request = request_of(settings, method, url, dict(headers))
    answer = _read_answer(text, method, where)
    if taken.side == "forward" and settings.forward is not None and settings.forward.cache:
        service, ttl, stale, targeted = "", FORWARD_RULES.ttl, FORWARD_RULES.stale, FORWARD_RULES.targeted
    else:
        route = settings.route[taken.route] if taken.route is not None else None
        if route is None or route.cache is None or route.to is None:
            return ["stored: no, caching is off for this request"]
        service, ttl, stale, targeted = route.to, route.cache.ttl, route.cache.stale, True
    key = cache_key(service, request)
    asked = request.fields.text
    found = explain_answer(
        method, key.partition(b" ")[2].decode("latin-1"), answer.status, asked, answer.fields.text,
        read_request(method, asked, request.framing != 0),
        ttl=ttl, stale=stale, targeted=targeted, now=time.time(), elapsed=elapsed,
    )  # fmt: skip
    return [f"key: {key.decode('latin-1').strip()}", *found]


def _read_answer(text: bytes, method: str, where: str) -> ResponseHead:
    """The status line and fields of an answer in a file; raises `BadInput`."""
    lines = text.replace(b"\r\n", b"\n").split(b"\n\n")[0].strip().split(b"\n")
    if lines[0].startswith((b"HTTP/2", b"HTTP/3")):  # curl says so of answers that came that way
        lines[0] = b"HTTP/1.1 " + lines[0].partition(b" ")[2].strip() + b" "
    try:
        return parse_response(b"\r\n".join(lines) + b"\r\n\r\n", method)
    except Malformed as error:
        raise BadInput(where, "answer", f"expected a status line and fields as 'curl -i': {error}") from None
