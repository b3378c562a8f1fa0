"""Where names lead: resolving a target, and which addresses the forward side may reach."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from realproxy.exchange import End, Refusal, UpstreamTrouble

Address = tuple[str, int]
"""IP address (or a name that is yet to be resolved) and port."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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


def resolve(address: Address) -> list[Address]:
    """The IP addresses that a target leads to; raises `UpstreamTrouble` 502 if there is none."""
    host, port = address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UpstreamTrouble(502, End.UPSTREAM_UNREACHABLE, f"cannot resolve {host}") from None
    return list(dict.fromkeys((str(entry[4][0]), port) for entry in found))


def is_private(host: str) -> bool:
    """Whether an IP address is not one of the public internet, also when wrapped in IPv6."""
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return not address.is_global or address.is_multicast


def permitted(target: Address, own: Address, *, private_targets: bool) -> list[Address]:
    """The resolved addresses that a forward request may be sent to.

    Parameters
    ----------
    target : Address
        What the client named.
    own : Address
        Where this proxy listens.
    private_targets : bool
        As in the settings.

    Raises
    ------
    Refusal
        403, with the rule, if none is left.
    """
    addresses = resolve(target)
    others = [address for address in addresses if not _is_own(address, own)]
    if not others:
        raise Refusal(403, End.LOOP, f"the target {target[0]}:{target[1]} is this proxy itself")
    public = others if private_targets else [address for address in others if not is_private(address[0])]
    if not public:
        raise Refusal(
            403,
            End.REFUSED,
            f"forward.private_targets: {target[0]} leads to {others[0][0]}, which is private",
        )
    return public


def _is_own(address: Address, own: Address) -> bool:
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
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            sock.settimeout(max(timeout, 0.001))
            sock.connect((host, port))
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            trouble = UpstreamTrouble(504, End.UPSTREAM_SLOW, f"no connection to {host}:{port} in time")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            trouble = UpstreamTrouble(502, End.UPSTREAM_UNREACHABLE, f"{host}:{port}: {reason}")
        else:
            return sock
        sock.close()
    raise trouble
