"""SOCKS 4, 4a and 5 without I/O: bytes in; replies and the request out. RFC 1928, RFC 1929

Reading order: `server` (the handshake with a client of this proxy), `client` (the handshake with a
parent proxy), `replies`, `addresses` (the format of addresses), `datagrams` (UDP ASSOCIATE).

Owners. A handshake belongs to the thread that reads its connection. Everything else never changes.
"""

from realproxy.socks.client import ClientHandshake, Refused
from realproxy.socks.datagrams import read_datagram, wrap_datagram
from realproxy.socks.replies import Reply, reply4, reply5
from realproxy.socks.server import Command, ServerHandshake, SocksRequest

__all__ = [
    "ClientHandshake", "Command", "Refused", "Reply", "ServerHandshake", "SocksRequest",
    "read_datagram", "reply4", "reply5", "wrap_datagram",
]  # fmt: skip
