"""Blocking sockets with time limits of the kernel: set the limits, send in pieces."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
"""A plain number: to combine flags of an enum costs a microsecond. Windows, where no proxy runs, has none."""
JOIN_BELOW = 16 * 2**10
"""Pieces with fewer bytes in total are joined for one send."""


def set_time_limits(sock: socket.socket, receive: float, send: float) -> None:
    """Make blocking calls fail with EAGAIN after these numbers of seconds."""
    for option, seconds in ((socket.SO_RCVTIMEO, receive), (socket.SO_SNDTIMEO, send)):
        whole = int(seconds)
        micro = int((seconds - whole) * 1e6) or (1000 if whole == 0 else 0)  # zero would mean forever
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", whole, micro))


def send_pieces(sock: socket.socket, pieces: Sequence[bytes | memoryview]) -> int:
    """Send all of `pieces` on a blocking socket; returns their bytes."""
    if len(pieces) == 1:
        sock.sendall(pieces[0])
        return len(pieces[0])
    total = sum(len(piece) for piece in pieces)
    if total <= JOIN_BELOW:
        sock.sendall(b"".join(pieces))
        return total
    for piece in pieces[:-1]:
        sock.sendall(piece, socket.MSG_MORE)
    sock.sendall(pieces[-1])
    return total


def skip_bytes(pieces: Sequence[bytes | memoryview], size: int) -> list[bytes | memoryview]:
    """The rest of `pieces` after their first `size` bytes."""
    rest: list[bytes | memoryview] = []
    for piece in pieces:
        if size < len(piece):
            rest.append(memoryview(piece)[size:])
        size = max(0, size - len(piece))
    return rest
