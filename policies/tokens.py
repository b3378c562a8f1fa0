"""Tokens of HTTP: the names of methods, fields and cookies. RFC 9110, 5.6.2"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_token(text: str) -> bool:
    """Whether `text` may be the name of a method, a field or a cookie."""
    return _TOKEN.fullmatch(text) is not None


def check_token(text: str) -> str:
    """Return `text` if it is a token; raise `ValueError` if it is not (for pydantic)."""
    if not is_token(text):
        raise ValueError(f"expected a name of letters, digits and !#$%&'*+-.^_`|~, not {text!r}")
    return text
