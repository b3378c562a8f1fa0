"""Replies of a SOCKS server. RFC 1928, 6; for version 4: Y.-D. Lee, "SOCKS: a protocol for TCP proxy"."""

from __future__ import annotations

from enum import IntEnum

from realproxy.socks.addresses import write_address


class Reply(IntEnum):
    """REP: the result of a request of version 5. RFC 1928, 6"""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8

    @property
    def meaning(self) -> str:
        """In words."""
        return self.name.lower().replace("_", " ")


GRANTED, REJECTED = 90, 91
"""CD in a reply of version 4."""


def reply5(code: Reply, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """VER REP RSV ATYP BND.ADDR BND.PORT"""
    return bytes([5, code, 0]) + write_address(host, port)


def reply4(*, granted: bool) -> bytes:
    """VN CD DSTPORT DSTIP; clients ignore the last two for CONNECT."""
    return bytes([0, GRANTED if granted else REJECTED]) + bytes(6)
