"""The header of a datagram between a client and the relay. RFC 1928, 7"""

from __future__ import annotations

from dataclasses import dataclass

from realproxy.socks.addresses import BadAddress, read_address, write_address


@dataclass(frozen=True, slots=True)
class Datagram:
    """A datagram of a client.

    Parameters
    ----------
    host : str
        Name or address that it is for.
    port : int
        Its port.
    data : bytes
        What to send there.
    """

    host: str
    port: int
    data: bytes


def read_datagram(packet: bytes) -> Datagram | None:
    """What a client wants to be sent, or None if it must be dropped: a fragment, or malformed."""
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
    return Datagram(host, port, packet[end:])


def wrap_datagram(host: str, port: int, data: bytes) -> bytes:
    """What came from `host`, for the client."""
    return b"\0\0\0" + write_address(host, port) + data
