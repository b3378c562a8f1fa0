"""IP addresses for rules: unwrapping IPv4 from IPv6, and recognising private addresses."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Sequence
from functools import lru_cache

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK = {4: ipaddress.ip_address("127.0.0.1"), 6: ipaddress.ip_address("::1")}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
# In IANA's special-purpose registries, but not in the `ipaddress` module of every Python version.
_NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, RFC 6890
        "64:ff9b:1::/48",  # NAT64 within a site, RFC 8215
        "2001::/23",  # protocol assignments, Teredo among them, RFC 2928
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # segment routing, RFC 9602
        "fec0::/10",  # site-local, RFC 3879
    )
]


@lru_cache(maxsize=4096)
def plain_address(text: str) -> IPAddress:
    """The address that `text` leads to; an IPv4 address is unwrapped if it is embedded in IPv6.

    IPv4-compatible and IPv4-mapped (RFC 4291, 2.5.5), 6to4 (RFC 3056) and NAT64 (RFC 6052) addresses
    are unwrapped, so that a rule for ``10.0.0.0/8`` holds in every notation. A zone such as ``%eth0``
    is ignored.

    Raises
    ------
    ValueError
        If `text` is not an IP address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and int(address) > 1 and (address in _NAT64 or address in _COMPATIBLE):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def unmapped(host: str) -> str:
    """The address of a peer; on a socket for both families, that of an IPv4 peer is mapped into IPv6.

    RFC 4291, 2.5.5.2
    """
    return host[7:] if host.startswith("::ffff:") and "." in host else host


@lru_cache(maxsize=4096)
def meanings(text: str) -> tuple[IPAddress, ...]:
    """All addresses that a rule may name when `text` is dialled; a rule holds if it names any of them.

    These are the address as written, the address that it leads to (see `plain_address`), and loopback
    if that is the unspecified address: a connection to 0.0.0.0 or :: reaches this machine.

    Raises
    ------
    ValueError
        If `text` is not an IP address.

    Examples
    --------
    >>> [str(address) for address in meanings("0.0.0.0")]
    ['0.0.0.0', '127.0.0.1']
    """
    written, plain = ipaddress.ip_address(text.partition("%")[0]), plain_address(text)
    loopback = [_LOOPBACK[plain.version]] if plain.is_unspecified else []
    return tuple(dict.fromkeys((written, plain, *loopback)))


@lru_cache(maxsize=4096)
def is_private(text: str) -> bool:
    """Whether an IP address, unwrapped from IPv6, is outside the public internet."""
    address = plain_address(text)
    listed = any(address in network for network in _NOT_PUBLIC)
    return listed or not address.is_global or address.is_multicast


def dial_order(addresses: Sequence[str], turn: int) -> list[str]:
    """The addresses of one name in the order in which connection number `turn` tries them.

    Each address comes first in its turn, so that all are used. Then the families alternate, so that one that
    does not work costs one attempt: RFC 8305, 4.

    Examples
    --------
    >>> dial_order(["::1", "::2", "192.0.2.1"], 1)
    ['::2', '192.0.2.1', '::1']
    """
    start = turn % len(addresses)
    turned = [*addresses[start:], *addresses[:start]]
    is_ipv6 = ":" in turned[0]
    same = [address for address in turned if (":" in address) is is_ipv6]
    other = [address for address in turned if (":" in address) is not is_ipv6]
    pairs = itertools.zip_longest(same, other)
    return [address for pair in pairs for address in pair if address is not None]


def is_local_name(host: str) -> bool:
    """Whether a host name always means this machine. RFC 6761, 6.3"""
    name = host.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")
