"""A free port, for a program that cannot be told to listen on any."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE = 10_000


def free_port() -> int:
    """A port of the loopback that nobody uses, below those that the kernel gives to who asks for any.

    So nobody gets it by chance before the program takes it, and no connection that waits for the
    program can meet itself there.
    """
    first = int(_HANDED_OUT.read_text(encoding="ascii").split()[0])
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(max(1024, first - _CHOICE), max(1025, first))
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
