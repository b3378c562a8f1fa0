"""Addresses: as text, and as this proxy's own."""

from __future__ import annotations

import errno
import socket

from policies.addresses import IPAddress, meanings, plain_address

Address = tuple[str, int]
"""IP address (or a name that is yet to be resolved) and port."""


def family_of(host: str) -> socket.AddressFamily:
    """The address family of an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def split_address(text: str) -> Address:
    """Host and port of ``host:port``; IPv6 addresses stand in brackets.

    Raises
    ------
    ValueError
        If the port is missing or out of range.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"expected 'host:port' such as '127.0.0.1:9001', not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})


def is_own(address: Address, own: Address) -> bool:
    """Whether a resolved address leads to where this proxy listens, however it is written.

    One that listens on 0.0.0.0 or :: listens on every address of this machine.
    """
    if address[1] != own[1]:
        return False
    listening, hosts = plain_address(own[0]), meanings(address[0])
    if listening in hosts or any(host.is_unspecified for host in hosts):
        return True
    return listening.is_unspecified and any(map(_is_here, hosts))


def _is_here(host: IPAddress) -> bool:
    """Whether an address is one of this machine's: if so, a socket can be bound to it.

    It is asked anew each time, for addresses come and go; that takes some microseconds.
    """
    if host.is_loopback:
        return True
    try:
        with socket.socket(family_of(str(host)), socket.SOCK_DGRAM) as sock:
            sock.bind((str(host), 0))
    except OSError as error:  # also if there are no descriptors: who cannot find out must not connect
        return error.errno not in _NOT_HERE
    return True
