"""Suggestions for a name that is not known."""

from __future__ import annotations

import difflib


def nearest(name: str, known: list[str]) -> str:
    """A hint such as ``" (did you mean 'lru'?)"``, or the list of known names."""
    if not known:
        return ""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f"; known: {', '.join(sorted(known))}"
