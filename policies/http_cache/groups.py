"""Cache groups: answers that belong together, and fall together. RFC 9875"""

from __future__ import annotations

from functools import lru_cache

import http_sf

MOST_GROUPS = 64
"""Groups of one answer that count; at least 32 must (section 2)."""
LONGEST = 128
"""Characters of a group's name; at least 32 must be possible (section 2)."""


@lru_cache(maxsize=512)
def read_groups(value: str | None) -> tuple[str, ...]:
    """The groups in a Cache-Groups or Cache-Group-Invalidation value: a list of strings (section 2).

    A field that is no list of structured fields (RFC 9651) is ignored; so are members that are no
    strings, and those that exceed what is kept of one answer.

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
