"""Fields that fit only one form of a response: what is not stored, updated or sent of a stored one.

One stored response is sent in several forms: whole, as the answer to HEAD, as a part (206), as 304. Some
fields describe one form alone, and contradict the others.
"""

from __future__ import annotations

from policies.http_cache.directives import Header

# They describe the content of one message, not the representation. RFC 9530, 2; RFC 2616, 14.15
# Repr-Digest and Digest stay: they are about the whole representation in every form. RFC 9530, 3
OF_THE_CONTENT = frozenset({"content-digest", "content-md5"})

NOT_UPDATED = OF_THE_CONTENT | {
    "content-encoding", "content-length", "content-range", "digest", "etag", "repr-digest",
}  # fmt: skip
"""Fields that a 304 or a response to HEAD must not change: they fit the stored bytes. RFC 9111, 3.2"""

IN_NOT_MODIFIED = frozenset({"cache-control", "content-location", "date", "etag", "expires", "vary"})
"""Fields that a 304 carries, because the client may not have them yet. RFC 9110, 15.4.5"""

NOT_FOR_HEAD = frozenset({"content-digest"})
"""The response to HEAD has no content, and its digest would be another one. RFC 9530, B.2"""


def not_stored(status: int) -> frozenset[str]:
    """Fields of a response that do not fit what is stored of it.

    A 206 is stored as a part of a 200, so the fields about its content do not fit. All others are stored as
    they are (RFC 9111, 3.1), also a Content-Range, which means nothing in a 200 (RFC 9110, 14.4).
    """
    return _NOT_OF_A_PART if status == 206 else _NOTHING


def not_for_part(header: Header) -> frozenset[str]:
    """Fields of a stored response that do not fit a part of it (206). RFC 9110, 15.3.7

    It must not say that there are no parts (RFC 9110, 14.3).
    """
    refuses = (header("accept-ranges") or "").strip().lower() == "none"
    return _NOT_FOR_PART_OR_RANGES if refuses else _NOT_FOR_PART


_NOTHING: frozenset[str] = frozenset()
_NOT_OF_A_PART = OF_THE_CONTENT | {"content-range"}
_NOT_FOR_PART = _NOT_OF_A_PART | {"content-length"}
_NOT_FOR_PART_OR_RANGES = _NOT_FOR_PART | {"accept-ranges"}
