"""The key of a request: who asks, or for what. Hashing balancers and sticky splits decide by it."""

from __future__ import annotations

from collections.abc import Callable

from policies.tokens import is_token

KINDS = "'client', 'path', 'header:NAME' or 'cookie:NAME'"


def check_key(text: str) -> str:
    """Return `text` if it names a key; raise `ValueError` if it does not (for pydantic)."""
    kind, colon, name = text.partition(":")
    if (kind in ("client", "path") and not colon) or (kind in ("header", "cookie") and is_token(name)):
        return text
    raise ValueError(f"expected {KINDS}, not {text!r}")


def cookie(fields: str | None, name: str) -> str | None:
    """The value of the first cookie of this name in a Cookie field. RFC 6265, 4.2.1

    Examples
    --------
    >>> cookie("a=1; arm=new", "arm")
    'new'
    """
    for pair in (fields or "").split(";"):
        key, equals, value = pair.partition("=")
        if equals and key.strip() == name:
            return value.strip().strip('"')
    return None


def key_reader(text: str) -> Callable[[str, str, Callable[[str], str | None]], str | None]:
    """A function that reads a request's key; it gives None if the request has none.

    The function takes the client's address, the path, and a function that gives a field's value by its name
    in lower case.
    """
    kind, _, name = text.partition(":")
    lower = name.lower()

    def read(client: str, path: str, field: Callable[[str], str | None]) -> str | None:
        if kind == "client":
            return client
        if kind == "path":
            return path
        return field(lower) if kind == "header" else cookie(field("cookie"), name)

    return read
