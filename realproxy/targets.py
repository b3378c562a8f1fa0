"""Addresses: as text, as this proxy's own, and connected."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from realproxy.exchange import End, UpstreamTrouble

Address = tuple[str, int]
"""IP address (or a name that is yet to be resolved) and port."""


class Detour(tuple[str, int]):
    """An address that is not dialled but reached in another way; kept connections go by its name.

    Attributes
    ----------
    dial : callable
        Makes the connection; raises `UpstreamTrouble`.
    """

    dial: Callable[[], socket.socket]

    @classmethod
    def by(cls, name: str, port: int, dial: Callable[[], socket.socket]) -> Detour:
        """One whose name no host has, so that no plain connection is taken for it."""
        detour = cls((name, port))
        detour.dial = dial
        return detour


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


def is_own(address: Address, own: Address) -> bool:
    """Whether a resolved address leads to where this proxy listens."""
    if address[1] != own[1]:
        return False
    host, listening = ipaddress.ip_address(address[0].partition("%")[0]), ipaddress.ip_address(own[0])
    return host == listening or host.is_unspecified or (listening.is_unspecified and host.is_loopback)


def connect(addresses: Sequence[Address], timeout: float) -> socket.socket:
    """A connected socket to the first address that answers; raises `UpstreamTrouble` 502 or 504.

    Parameters
    ----------
    addresses : sequence of Address
        Resolved.
    timeout : float
        Seconds for each.
    """
    trouble = UpstreamTrouble(502, End.UPSTREAM_UNREACHABLE, "the target has no address")
    for host, port in addresses:
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:  # no descriptors
            reason = (error.strerror or str(error)).lower()
            raise UpstreamTrouble(503, End.OVERLOADED, f"no socket: {reason}") from None
        try:
            sock.settimeout(max(timeout, 0.001))
            sock.connect((host, port))
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            detail = f"no connection to {host}:{port} in time"
            trouble = UpstreamTrouble(504, End.UPSTREAM_SLOW, detail, fault="connection_timeout")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            trouble = UpstreamTrouble(
                502, End.UPSTREAM_UNREACHABLE, f"{host}:{port}: {reason}", errno=error.errno or 0
            )
        else:
            return sock
        sock.close()
    raise trouble
