"""Observers on wires: packet sockets that record every byte in both directions (packet(7)).

The kernel keeps the packets until they are read, after each visit. So an observer needs no thread. If it
ever dropped one, the recording would prove nothing, and `take` raises.
"""

from __future__ import annotations

import select
import socket
import struct
import time

from twin.exposure.namespaces import Namespace, NamespaceError

_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_SO_RCVBUFFORCE = 33
_ROOM = 32 * 2**20
_LARGEST = 2**17
QUIET_S = 0.05
"""After so long without a packet on any wire a visit has ended; delayed acknowledgements take 40 ms."""
BETWEEN_S = 0.1
"""The same before a visit: what is left of the one before it must not be taken for its own."""
_LONGEST_S = 5.0


class Tap:
    """An observer on one device."""

    def __init__(self, space: Namespace, device: str) -> None:
        self._device = device
        with space.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
            self._socket.bind((device, _ETH_P_ALL))
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor, for a poller."""
        return self._socket.fileno()

    def take(self) -> list[bytes]:
        """All packets since the last call; raises `NamespaceError` if the kernel dropped one."""
        packets = []
        while True:
            try:
                packets.append(self._socket.recv(_LARGEST))
            except BlockingIOError:
                break
            except OSError:  # its device is gone; what it has seen is read already
                break
        got = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        if struct.unpack("=2I", got)[1]:
            raise NamespaceError(f"the observer on {self._device} lost packets; the recording proves nothing")
        return packets

    def close(self) -> None:
        """Stop to observe."""
        self._socket.close()


def wait_for_quiet(taps: list[Tap], quiet_s: float = QUIET_S) -> dict[Tap, list[bytes]]:
    """Read all observers until no packet has come for `quiet_s`; the packets of each.

    Raises `NamespaceError` if the wires do not become quiet.
    """
    packets: dict[Tap, list[bytes]] = {tap: [] for tap in taps}
    poller = select.poll()
    for tap in taps:
        poller.register(tap, select.POLLIN)
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        ready = poller.poll(1e3 * quiet_s)
        for tap in taps:
            packets[tap] += tap.take()
        if not ready:
            return packets
    raise NamespaceError(f"the wires were not quiet after {_LONGEST_S:g} s")
