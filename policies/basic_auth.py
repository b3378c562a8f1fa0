"""Basic credentials (RFC 7617), compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

CHALLENGE = 'Basic realm="proxytwin", charset="UTF-8"'
"""Proxy-Authenticate for a client without credentials."""


def read_basic(value: str | None) -> tuple[str, str] | None:
    """User and password in a Proxy-Authorization value; None if there are none. RFC 7617, 2

    Examples
    --------
    >>> read_basic("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    ('Aladdin', 'open sesame')
    """
    scheme, _, token = (value or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        data = base64.b64decode(token.strip().encode("latin-1"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def basic(user: str, password: str) -> str:
    """The value of an Authorization field. RFC 7617, 2"""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def is_known(users: Mapping[str, str], user: str, password: str) -> bool:
    """Whether `password` is that of `user`; every wrong answer takes the same time.

    The comparison uses digests of equal length, for unknown users too. So the time reveals neither
    the names of users nor the correct part of a password.
    """
    expected = users.get(user)
    same = hmac.compare_digest(_digest(expected or ""), _digest(password))
    return same and expected is not None


def check_user(user: str) -> str:
    """Return a user name that Basic and SOCKS5 can both carry; raise `ValueError` for any other."""
    if not user or ":" in user or len(user.encode()) > 255 or not user.isprintable():
        # RFC 7617, 2: no colon; RFC 1929, 2: 1 to 255 bytes
        raise ValueError(f"expected a user name of 1 to 255 bytes without a colon, not {user!r}")
    return user


def check_password(password: str) -> str:
    """Return a password that Basic and SOCKS5 can both carry; raise `ValueError` for any other."""
    if not password or len(password.encode()) > 255 or not password.isprintable():
        raise ValueError("expected a password of 1 to 255 printable bytes")
    return password
