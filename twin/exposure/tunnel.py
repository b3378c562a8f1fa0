"""The small VPN: a device at each end, and sealed packets over UDP between them.

The kernel gives every packet for the device ``tun`` to the program that opened it (tun in the kernel's
documentation). The client's end seals it and sends it to the provider. The provider's end opens it and
writes it into its own device, where the kernel forwards it like any other packet. The client's packets
already have the address that the provider lends it, so nothing is rewritten.

Each end has one thread, which owns the device and the socket. `close` wakes it by a pipe.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import struct
import threading

from twin.exposure.namespaces import Namespace, NamespaceError
from twin.exposure.sealing import KEY_BYTES, Opener, Refused, Sealer
from twin.exposure.topology import TUNNEL_METRIC, Internet
from twin.exposure.vocabulary import Observer

DEVICE = "/dev/net/tun"
NAME = "tunnel"
PORT = 51821
MTU = 1400
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LARGEST = 2**16
_SECONDS = 5.0


class _End:
    """One end of the tunnel: a device, a socket and the thread between them."""

    def __init__(self, space: Namespace, sealer: Sealer, opener: Opener) -> None:
        self._sealer, self._opener = sealer, opener
        self._peer: tuple[str, int] | None = None
        self._wake, self._woken = os.pipe()
        with space.entered():
            self._device = _open_device()
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._run, name="exposure-tunnel", daemon=True)

    def start(self, own: tuple[str, int] | None = None, peer: tuple[str, int] | None = None) -> None:
        """Bind to an address, or send to a peer; an end without a peer answers whoever sent last."""
        if own is not None:
            self._socket.bind(own)
        self._peer = peer
        self._thread.start()

    def _run(self) -> None:
        poller = select.poll()
        for file in (self._device, self._socket.fileno(), self._wake):
            poller.register(file, select.POLLIN)
        while True:
            ready = {file for file, _ in poller.poll()}
            if self._wake in ready:
                return
            with contextlib.suppress(OSError, Refused):  # such a packet is lost, as on any network
                if self._device in ready:
                    packet = os.read(self._device, _LARGEST)
                    if self._peer is not None:
                        self._socket.sendto(self._sealer.seal(packet), self._peer)
            with contextlib.suppress(OSError, Refused):
                if self._socket.fileno() in ready:
                    data, sender = self._socket.recvfrom(_LARGEST)
                    packet = self._opener.open(data)
                    self._peer = sender
                    os.write(self._device, packet)

    def close(self) -> None:
        """End the program; the kernel removes the device and the routes through it."""
        os.write(self._woken, b"x")
        if self._thread.ident is not None:
            self._thread.join(_SECONDS)
        self._socket.close()
        for file in (self._device, self._wake, self._woken):
            os.close(file)


class Tunnel:
    """A VPN between client and provider that is up; `close` ends both programs.

    Parameters
    ----------
    internet : Internet
    encrypted : bool
        Without encryption the packets travel as they are.
    ipv6 : bool
        Whether the tunnel carries IPv6, too.
    """

    def __init__(self, internet: Internet, *, encrypted: bool = True, ipv6: bool = False) -> None:
        there, back = (secrets.token_bytes(KEY_BYTES) if encrypted else None for _ in range(2))
        self._client = _End(internet.client, Sealer(there), Opener(back))
        try:
            self._provider = _End(internet.provider, Sealer(back), Opener(there))
        except BaseException:
            self._client.close()
            raise
        try:
            set_addresses(internet, NAME, ipv6=ipv6)
            entry = internet.addresses[Observer.ENTRY].v4
            self._provider.start(own=(entry, PORT))
            self._client.start(peer=(entry, PORT))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the VPN's programs on both sides."""
        self._client.close()
        self._provider.close()


def set_addresses(internet: Internet, device: str, *, ipv6: bool) -> None:
    """Give both ends of a tunnel their addresses, and lead the client's packets into it."""
    own, router = internet.pool, internet.pool_router
    for space, address in ((internet.client, own), (internet.provider, router)):
        space.ip(
            [
                f"link set {device} addrgenmode none",
                f"link set {device} mtu {MTU} up",
                f"addr add {address.v4}/32 dev {device}",
                *([f"addr add {address.v6}/128 dev {device} nodad"] if ipv6 else []),
            ]
        )
    internet.provider.ip(
        [
            f"route add {own.v4}/32 dev {device}",
            *([f"route add {own.v6}/128 dev {device}"] if ipv6 else []),
        ]
    )
    src4 = f"route add default dev {device} src {own.v4} metric {TUNNEL_METRIC}"
    src6 = f"route add ::/0 dev {device} src {own.v6} metric {TUNNEL_METRIC}"
    internet.client.ip([src4, *([src6] if ipv6 else [])])


def _open_device() -> int:
    """A new TUN device in the namespace of the calling thread."""
    import fcntl  # Windows has none, and imports this module all the same

    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise NamespaceError(f"{DEVICE}: {error.strerror}") from None
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", NAME.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        os.close(device)
        raise NamespaceError(f"{DEVICE}: {error.strerror}") from None
    return device
