"""Addresses: how they are written, and which are this proxy's own."""

from __future__ import annotations

import errno
import re
import socket

from policies.addresses import IPAddress, meanings, plain_address

Address = tuple[str, int]
"""IP address, or a name before it is resolved, and port."""


def family_of(host: str) -> socket.AddressFamily:
    """The address family of an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


_HOST = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[^\]]+)?\]|[^\s/?#@\[\]:*]+")  # IPv6 in brackets; a name or IPv4


def split_address(text: str) -> Address:
    """Host and port of ``host:port``, with IPv6 addresses in brackets.

    Raises `ValueError` if the host is not one host, or the port is missing or out of range.
    """
    host, colon, port = text.rpartition(":")
    good = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not colon or not good or _HOST.fullmatch(host) is None:
        raise ValueError(f"expected 'host:port' such as '127.0.0.1:9001' or '[::1]:9001', not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})


def is_own(address: Address, own: Address) -> bool:
    """Whether a connection to a resolved address would reach this proxy, which listens on `own`.

    A proxy that listens on 0.0.0.0 or :: listens on every address of this machine.
    """
    if address[1] != own[1]:
        return False
    listening, hosts = plain_address(own[0]), meanings(address[0])
    if listening in hosts or any(host.is_unspecified for host in hosts):
        return True
    return listening.is_unspecified and any(map(_is_here, hosts))


def _is_here(host: IPAddress) -> bool:
    """Whether an address is one of this machine's: only then can a socket be bound to it.

    Addresses come and go, so the result is not kept. The test takes some microseconds.
    """
    if host.is_loopback:
        return True
    try:
        with socket.socket(family_of(str(host)), socket.SOCK_DGRAM) as sock:
            sock.bind((str(host), 0))
    except OSError as error:  # without descriptors this is unknown: then better no connection
        return error.errno not in _NOT_HERE
    return True
