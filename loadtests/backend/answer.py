"""The body of a backend's response, sent without being built."""

from __future__ import annotations

import socket

_BLOCK = memoryview(b"proxytwin test body, line of 32\n" * 2048)


def send(connection: socket.socket, head: bytes, size: int) -> None:
    """Send a head and `size` bytes of body, in few packets and without building the body."""
    first = min(size, len(_BLOCK))
    sent = connection.sendmsg([head, _BLOCK[:first]])
    if sent < len(head):
        connection.sendall(head[sent:])
        sent = len(head)
    left = size - (sent - len(head))
    while left:
        block = _BLOCK[: min(left, len(_BLOCK))]
        connection.sendall(block)
        left -= len(block)
