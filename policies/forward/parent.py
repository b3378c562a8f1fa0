"""The address of a parent proxy: ``http://``, ``https://`` or ``socks5://``, with optional credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from policies.basic_auth import check_password, check_user

Scheme = Literal["http", "https", "socks5"]
DEFAULT_PORT: dict[Scheme, int] = {"http": 80, "https": 443, "socks5": 1080}


@dataclass(frozen=True)
class Parent:
    """The next proxy of a chain.

    Parameters
    ----------
    scheme : str
        Its protocol: ``http``, ``https`` (HTTP inside TLS) or ``socks5``.
    host : str
        Name or IP address, without brackets.
    port : int
    user, password : str
        Credentials for the parent; empty if it needs none.
    """

    scheme: Scheme
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The URL without credentials, for logs and messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_parent(text: str) -> Parent:
    """Parse the URL of a parent.

    Raises
    ------
    ValueError
        With one line that does not contain the credentials.

    Examples
    --------
    >>> parse_parent("socks5://alice:secret@10.0.0.1").name
    'socks5://10.0.0.1:1080'
    """
    expected = "expected a parent such as 'http://10.0.0.1:3128' or 'socks5://user:password@host:1080'"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in DEFAULT_PORT or not parts.hostname or port == 0:
        raise ValueError(expected)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{expected}, with nothing after the port")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user or password:
        check_user(user)
        check_password(password)
    return Parent(parts.scheme, parts.hostname, port or DEFAULT_PORT[parts.scheme], user, password)
