"""Datagrams between a client and the UDP relay, with their header. RFC 1928, 7"""

from __future__ import annotations

from realproxy.socks.addresses import BadAddress, read_address, write_address


def read_datagram(packet: bytes) -> tuple[tuple[str, int], bytes] | None:
    """The target (host, port) and the data of a packet from a client; None if it must be dropped."""
    # RSV(2)=0 FRAG ATYP DST.ADDR DST.PORT DATA                                           RFC 1928, 7
    # "an implementation that does not support fragmentation MUST drop any datagram whose FRAG
    # field is other than X'00'"
    if len(packet) < 4 or packet[:2] != b"\0\0" or packet[2] != 0:
        return None
    try:
        found = read_address(packet, 3)
    except BadAddress:
        return None
    if found is None or found[1] == 0:
        return None
    host, port, end = found
    return (host, port), packet[end:]


def wrap_datagram(host: str, port: int, data: bytes) -> bytes:
    """The packet that brings the client data from a host and port."""
    return b"\0\0\0" + write_address(host, port) + data
