"""Bandwidth: the response is sent no faster than a given rate."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from policies.settings.faults import Bandwidth
from realproxy.proxying.faults.base import FaultTarget, fault
from realproxy.runtime.blocking import BlockedThreads

STEP = 0.02
"""Seconds between two parts."""


@fault("bandwidth")
def inject_bandwidth(settings: Bandwidth, target: FaultTarget) -> None:
    """Throttle the response."""
    target.client.send_filters.append(_Throttle(settings.rate, target.waits))


class _Throttle:
    """Sends small parts, each at its due time. `rate` is in bytes per second."""

    def __init__(self, rate: float, waits: BlockedThreads) -> None:
        self._rate, self._waits = rate, waits
        self._sent, self._since = 0, 0.0

    def send(self, sock: socket.socket, pieces: Sequence[bytes | memoryview]) -> int:
        """Send all of `pieces` and return their length; raises `OSError`."""
        data = memoryview(b"".join(pieces))
        self._since = self._since or time.monotonic()
        part = max(1, int(self._rate * STEP))
        for start in range(0, len(data), part):
            with self._waits.blocking():
                time.sleep(max(0.0, self._since + self._sent / self._rate - time.monotonic()))
            sock.sendall(data[start : start + part])
            self._sent += len(data[start : start + part])
        return len(data)
