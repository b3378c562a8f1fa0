"""A free port, for a program that cannot choose one itself."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE = 10_000
_USUAL_FIRST = 32_768


def free_port() -> int:
    """An unused port of the loopback, below the kernel's range of ephemeral ports.

    So no other socket gets it by chance before the program binds it, and no connection attempt to it can
    connect to itself.
    """
    try:
        first = int(_HANDED_OUT.read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        first = _USUAL_FIRST
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
