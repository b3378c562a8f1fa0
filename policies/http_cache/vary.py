"""Content negotiation: which stored responses a request selects. RFC 9111, 4.1"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from policies.http_cache.directives import Header

MOST_VARIANTS = 32
"""Most responses stored for one URI: an origin that varies on everything must not fill the index."""

# Fields that are not lists: a comma in their values is just a comma.
_NO_LISTS = frozenset({"authorization", "cookie", "date", "if-modified-since", "referer", "user-agent"})
# Preferences, for which order and case do not count. RFC 9110, 12.5.3 and 12.5.4
_PREFERENCES = frozenset({"accept-charset", "accept-encoding", "accept-language"})
# Possessive quantifiers prevent backtracking; an unclosed quote takes the rest of the value.
_ELEMENTS = re.compile(r'(?:"[^"\\]*+(?:\\.?[^"\\]*+)*(?:"|\Z)|[^,"]++)+', re.DOTALL)
_WEIGHT = re.compile(r"q=([01](?:\.\d{0,3})?)", re.ASCII)


class Variant(NamedTuple):
    """What a request must carry to select a stored response.

    Attributes
    ----------
    fields : tuple of (str, str or None)
        The names in Vary, each with the normal form of the value in the original request.
    language : str or None
        Content-Language in lower case, if the response varies with Accept-Language.
    """

    fields: tuple[tuple[str, str | None], ...] = ()
    language: str | None = None


ANY = Variant()
"""The variant that every request selects."""


@lru_cache(maxsize=4096)
def normal_value(name: str, value: str | None) -> str | None:
    """A form that equivalent values share: it normalises white space and, for preferences, order and case."""
    if value is None or name in _NO_LISTS:
        return value
    elements = [element.strip(" \t") for element in _ELEMENTS.findall(value)]
    elements = [element for element in elements if element]
    if name in _PREFERENCES:
        elements = sorted(
            f"{item};q={weight:g}" if weight >= 0 else item for item, weight in _weights(elements)
        )
    return ", ".join(elements)


def _weights(elements: list[str]) -> list[tuple[str, float]]:
    """Preferences in lower case with their weights; -1 if a weight is unreadable. RFC 9110, 12.4.2"""
    found = []
    for element in elements:
        item, _, parameter = element.lower().partition(";")
        weight = _WEIGHT.fullmatch(parameter.strip() or "q=1")
        found.append((element.lower(), -1.0) if weight is None else (item.strip(), float(weight[1])))
    return found


@lru_cache(maxsize=1024)
def preferred_language(value: str | None) -> str | None:
    """The one language with the highest weight in an Accept-Language value; None if there are several."""
    weights = _weights([part.strip() for part in (value or "").split(",") if part.strip()])
    best = max((weight for _, weight in weights), default=0.0)
    first = [item for item, weight in weights if weight == best]
    return first[0] if len(first) == 1 and best > 0 else None


def variant_of(response_header: Header, request_header: Header) -> Variant:
    """What a request must carry to select this response, given the request that it answers."""
    vary = response_header("vary")
    if vary is None:
        return ANY
    names = sorted({name for part in vary.split(",") if (name := part.strip().lower())})
    if not names:
        return ANY
    language = response_header("content-language") if "accept-language" in names else None
    fields = tuple((name, normal_value(name, request_header(name))) for name in names)
    return Variant(fields, language.strip().lower() if language is not None else None)


def selects(variant: Variant, request_header: Header) -> bool:
    """Whether a request selects a stored response.

    All fields must match. For Accept-Language it is enough that the response is in the one language
    that the request prefers: no negotiation could find a better one.
    """
    for name, value in variant.fields:
        if normal_value(name, request_header(name)) == value:
            continue
        if name != "accept-language" or variant.language is None:
            return False
        if preferred_language(request_header(name)) != variant.language:
            return False
    return True
