"""Listening sockets."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct

from policies.bad_input import BadInput

BACKLOG = 1024
"""Connections that wait in the kernel to be accepted."""
ALL = "*"
"""The host of a setting that stands for all addresses of this machine."""
_SO_ATTACH_FILTER = 26
_NO_SYN = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the TCP header that holds the flags
        (0x45, 0, 1, 0x02),  # SYN: drop it
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFFFFFF),
    )
)
"""A socket filter (Linux, classic BPF) that drops packets which ask for a new connection."""


def listen(text: str, where: str, key: str = "listen") -> socket.socket:
    """A listening TCP socket for ``host:port``.

    ``*`` and an empty host are all addresses of this machine, IPv4 and IPv6: one socket takes both. A name
    with several addresses is the first one, IPv4 before IPv6. Raises `BadInput`, with the source and the key
    of the setting, if the proxy cannot listen there.
    """
    host, port = host_of(text), text.rpartition(":")[2]
    try:
        family, address = _place(host)
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise BadInput(where, key, f"{host!r} is no address of this machine: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # whatever the system's default is
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, int(port)))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        in_use = f"port {port} is in use: choose another one, or 0 for any free one"
        problem = in_use if error.errno == errno.EADDRINUSE else f"cannot listen on {text}: {error.strerror}"
        raise BadInput(where, key, problem) from None
    return listener


def _place(host: str) -> tuple[socket.AddressFamily, str]:
    """The family and the address to bind; raises `OSError` if the host has none."""
    if host == ALL:
        return (socket.AF_INET6, "::") if _has_ipv6() else (socket.AF_INET, "0.0.0.0")
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]


def _has_ipv6() -> bool:
    """Whether this machine has IPv6: it may be built without it, or have it switched off."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def refuse_new_connections(listener: socket.socket) -> None:
    """Have the kernel complete no more connections, so that closing the listener resets none.

    A client that connects now gets no reply. It tries again after a second; then it is refused.
    """
    program = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    filled = struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(program))
    with contextlib.suppress(OSError):  # without filters, connections of this moment are reset
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filled)


def host_of(text: str) -> str:
    """The host of ``host:port``, without brackets; `ALL` if it is empty."""
    return text.rpartition(":")[0].removeprefix("[").removesuffix("]") or ALL


def url_of(address: tuple[str, int], scheme: str = "http") -> str:
    """A URL that reaches a listening address from this machine, such as ``http://127.0.0.1:8080``."""
    host, port = address
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
