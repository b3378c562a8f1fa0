"""The format of addresses in SOCKS. RFC 1928, 5"""

from __future__ import annotations

import re
import socket

IPV4, NAME, IPV6 = 1, 3, 4
"""ATYP: the kinds of address."""

_HOST = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:]{1,255}")
"""A name, or an IPv6 address as text, as HTTP accepts a host."""


class BadAddress(ValueError):
    """An address that cannot be used; `unknown` if its type, and so its end, is not known."""

    def __init__(self, problem: str, *, unknown: bool = False) -> None:
        super().__init__(problem)
        self.unknown = unknown


def check_host(data: bytes) -> str:
    """The text of a name; raises `BadAddress` if it cannot be a host."""
    text = data.decode("latin-1")
    if _HOST.fullmatch(text) is None:
        raise BadAddress("the name is not valid")
    return text


def read_address(data: bytes, at: int) -> tuple[str, int, int] | None:
    """Host, port and the end of both, from the ATYP at ``data[at]``; None if data is missing.

    Raises `BadAddress`.
    """
    if len(data) <= at:
        return None
    kind = data[at]
    if kind == NAME:
        if len(data) <= at + 1:
            return None
        start, length = at + 2, data[at + 1]
    elif kind in (IPV4, IPV6):
        start, length = at + 1, 4 if kind == IPV4 else 16
    else:
        raise BadAddress(f"address type {kind} is not known", unknown=True)
    end = start + length
    if len(data) < end + 2:
        return None
    if kind == NAME:
        host = check_host(data[start:end])
    else:
        host = socket.inet_ntop(socket.AF_INET if kind == IPV4 else socket.AF_INET6, data[start:end])
    return host, int.from_bytes(data[end : end + 2], "big"), end + 2


def write_address(host: str, port: int) -> bytes:
    """ATYP, address and port; raises `BadAddress` for a name that does not fit."""
    for kind, family in ((IPV4, socket.AF_INET), (IPV6, socket.AF_INET6)):
        try:
            packed = socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return bytes([kind]) + packed + port.to_bytes(2, "big")
    try:
        name = host.encode("ascii" if host.isascii() else "idna")
    except UnicodeError as error:
        raise BadAddress(f"no name of a host: {error}") from None
    if not 0 < len(name) < 256:
        raise BadAddress("the name is too long")
    return bytes([NAME, len(name)]) + name + port.to_bytes(2, "big")
