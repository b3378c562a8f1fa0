"""The PROXY protocol without I/O: a header in which the proxy in front names the client.

"The PROXY protocol, versions 1 & 2", W. Tarreau, haproxy.org/download/3.0/doc/proxy-protocol.txt;
comments give its sections. Only peers that the settings name may send a header, and they must:
a guess would let clients choose their own address (section 2).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from policies.addresses import IPAddress
from policies.settings import ProxyProtocol
from realproxy.net.address import Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1_MOST = 107
"""The longest header of version 1 in bytes, with its CRLF. Section 2.1"""
V2_MOST = 4096
"""The longest header of version 2 in bytes; the specification leaves the limit to the receiver."""

# "PROXY" SP ("TCP4" | "TCP6") SP source SP destination SP source-port SP destination-port CRLF. Section 2.1
_V1 = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)
_LOCAL, _PROXY = 0, 1
_INET, _INET6 = 1, 2
_STREAM = 1
# Bytes of the addresses of each family: unspecified, IPv4, IPv6, Unix. Section 2.2
_ADDRESS_SIZE = {0: 0, _INET: 12, _INET6: 36, 3: 216}
_CRC32C = 3
"""Type of the entry that holds a checksum of the header. Section 2.2.3"""


class BadHeader(ValueError):
    """The data is no PROXY protocol header: the connection must be closed."""


@dataclass(frozen=True)
class Header:
    """A whole header of `size` bytes; `source` is None if the client is the peer itself."""

    size: int
    source: Address | None


def read_header(data: bytes) -> Header | None:
    """The header at the start of a connection's data; None if it is not complete yet.

    Raises `BadHeader` if the data can never become one.
    """
    if data.startswith(SIGNATURE[: len(data)]) and data[:1] != b"P":
        return _read_v2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _read_v1(data)
    raise BadHeader("no PROXY protocol header")


def _read_v1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, V1_MOST)
    if end < 0:
        if len(data) >= V1_MOST or b"\n" in data:
            raise BadHeader("no end of the PROXY line")
        return None
    if data.startswith(b"PROXY UNKNOWN") and (end == 13 or data[13:14] == b" "):
        return Header(end + 2, None)  # what follows must be ignored. Section 2.1
    found = _V1.fullmatch(data, 0, end)
    if found is None:
        raise BadHeader("a malformed PROXY line")
    kind = ipaddress.IPv4Address if found[1] == b"4" else ipaddress.IPv6Address
    try:
        source, _ = kind(found[2].decode()), kind(found[3].decode())
    except ValueError:
        raise BadHeader("a PROXY line with a bad address") from None
    if max(int(found[4]), int(found[5])) > 65535:
        raise BadHeader("a PROXY line with a bad port")
    return Header(end + 2, (str(_unmapped(source)), int(found[4])))


def _read_v2(data: bytes) -> Header | None:
    if len(data) < 16:
        return None
    version, command = data[12] >> 4, data[12] & 0x0F
    family, transport = data[13] >> 4, data[13] & 0x0F
    if version != 2 or command not in (_LOCAL, _PROXY):
        raise BadHeader("an unknown version or command")  # both must be refused. Section 2.2
    if command == _PROXY and (family not in _ADDRESS_SIZE or transport > 2):
        raise BadHeader("an unknown address family or transport")
    size = 16 + int.from_bytes(data[14:16])
    if size > V2_MOST:
        raise BadHeader("a PROXY header that is too long")
    if len(data) < size:
        return None
    if command == _LOCAL:  # the block must be discarded, "including the family which is ignored". Section 2.2
        return Header(size, None)
    addresses = _ADDRESS_SIZE[family]
    if size < 16 + addresses:
        raise BadHeader("a PROXY header that is too short for its addresses")
    _check_entries(data[:size], 16 + addresses)
    if transport != _STREAM or family not in (_INET, _INET6):
        return Header(size, None)
    wide = 4 if family == _INET else 16
    source = ipaddress.ip_address(data[16 : 16 + wide])
    return Header(size, (str(_unmapped(source)), int.from_bytes(data[16 + 2 * wide : 18 + 2 * wide])))


def _check_entries(header: bytes, at: int) -> None:
    """Every entry must fit, and a checksum must be right. Section 2.2"""
    while at < len(header):
        kind, size = header[at], int.from_bytes(header[at + 1 : at + 3])
        value = header[at + 3 : at + 3 + size]
        if at + 3 > len(header) or len(value) < size:
            raise BadHeader("a PROXY header with a broken entry")
        if kind == _CRC32C:
            zeroed = header[: at + 3] + bytes(size) + header[at + 3 + size :]
            if size != 4 or crc32c(zeroed) != int.from_bytes(value):
                raise BadHeader("a PROXY header with a wrong checksum")
        at += 3 + size


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum (RFC 3720, B.4), bit by bit: headers are short, and few contain one."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _unmapped(address: IPAddress) -> IPAddress:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _parse(host: str) -> IPAddress:
    return _unmapped(ipaddress.ip_address(host.partition("%")[0]))


def _pair(source: Address, target: Address) -> tuple[int, bytes, bytes]:
    """The IP version of a connection, and both addresses packed in that version."""
    ends = [_parse(source[0]), _parse(target[0])]
    if all(end.version == 4 for end in ends):
        return 4, ends[0].packed, ends[1].packed
    wide = [end.packed if end.version == 6 else b"\x00" * 10 + b"\xff\xff" + end.packed for end in ends]
    return 6, wide[0], wide[1]


def header_v1(source: Address, target: Address) -> bytes:
    """A header of version 1 for a connection that a client made from `source` to `target`.

    Examples
    --------
    >>> header_v1(("203.0.113.7", 40000), ("198.51.100.1", 443))
    b'PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\\r\\n'
    """
    version, *ends = _pair(source, target)
    hosts = " ".join(str(ipaddress.ip_address(end)) for end in ends)
    return f"PROXY TCP{version} {hosts} {source[1]} {target[1]}\r\n".encode()


def header_v2(source: Address, target: Address) -> bytes:
    """A header of version 2, which is binary."""
    version, one, other = _pair(source, target)
    addresses = one + other + source[1].to_bytes(2) + target[1].to_bytes(2)
    family = (_INET if version == 4 else _INET6) << 4 | _STREAM
    return SIGNATURE + bytes((0x20 | _PROXY, family)) + len(addresses).to_bytes(2) + addresses


WRITERS = {"v1": header_v1, "v2": header_v2}
LOCAL = {"v1": b"PROXY UNKNOWN\r\n", "v2": SIGNATURE + bytes((0x20 | _LOCAL, 0, 0, 0))}
"""Headers for connections that the proxy makes for itself, such as health checks."""


class TrustedPeers:
    """The set of hosts that must send a header; empty without settings."""

    def __init__(self, settings: ProxyProtocol | None) -> None:
        hosts = settings.from_ if settings else []
        self._networks = [ipaddress.ip_network(text, strict=False) for text in hosts]

    def __contains__(self, host: str) -> bool:
        if not self._networks:
            return False
        address = _parse(host)
        return any(address in network for network in self._networks)
