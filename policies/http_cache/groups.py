"""Cache groups: responses that are invalidated together. RFC 9875"""

from __future__ import annotations

from functools import lru_cache

import http_sf

MOST_GROUPS = 64
"""Most groups of one response that count; a cache must support 32 (section 2)."""
LONGEST = 128
"""Most characters of a group's name; a cache must support 32 (section 2)."""


@lru_cache(maxsize=512)
def read_groups(value: str | None) -> tuple[str, ...]:
    """The groups in a Cache-Groups or Cache-Group-Invalidation value: a list of strings (section 2).

    The field is ignored if it is not a list of structured fields (RFC 9651). Members that are not
    strings are ignored, and so are names that are too long and groups beyond `MOST_GROUPS`.

    Examples
    --------
    >>> read_groups('"news", "sport";a=1')
    ('news', 'sport')
    """
    if value is None:
        return ()
    try:
        members = http_sf.parse(value.encode("latin-1", "replace"), tltype="list")
    except ValueError:
        return ()
    assert isinstance(members, list)
    names = [member[0] for member in members if isinstance(member, tuple)]
    strings = [name for name in names if type(name) is str and len(name) <= LONGEST]
    return tuple(dict.fromkeys(strings))[:MOST_GROUPS]
