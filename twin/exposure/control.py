"""The control: packets that carry every secret in the clear past every observer.

An observer that sees nothing here is blind, and its "not seen" elsewhere would prove nothing.
"""

from __future__ import annotations

import socket

from twin.exposure.dns_messages import encode_name
from twin.exposure.search import PAGE_BYTES, Secrets
from twin.exposure.servers import HTTP_PORT
from twin.exposure.serving import SECONDS, read_message
from twin.exposure.topology import Internet
from twin.exposure.vocabulary import Observer

_DATAGRAM = 1200
_DISCARD_PORT = 9


def send_control(wanted: Secrets, internet: Internet) -> None:
    """Send all secrets over every wire, and to the program of the site."""
    everything = everything_about(wanted)
    at = internet.addresses
    for space, to in (
        (internet.client, at[Observer.ENTRY].v4),
        (internet.client, at[Observer.NAMES].v4),
        (internet.provider, at[Observer.NETWORK].v4),
    ):
        with space.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(PAGE_BYTES // _DATAGRAM + 1):
                sock.sendto(everything.ljust(_DATAGRAM, b"\0"), (to, _DISCARD_PORT))
    with (
        internet.client.entered(),
        socket.create_connection((at[Observer.NETWORK].v4, HTTP_PORT), timeout=SECONDS) as sock,
    ):
        head = f"POST / HTTP/1.1\r\nHost: {wanted.host}\r\nContent-Length: {len(everything)}\r\n\r\n"
        sock.sendall(head.encode() + everything)
        read_message(sock)


def everything_about(wanted: Secrets) -> bytes:
    """All secrets of a visit, one after the other."""
    texts = [wanted.host, wanted.path, wanted.request_label, wanted.other_host, *wanted.client]
    texts += wanted.destination
    return encode_name(wanted.host) + "\n".join(texts).encode()
