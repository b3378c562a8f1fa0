"""Half: the response body is truncated, and the connection reset."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence

from policies.settings.faults import Half
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import Aborted, Termination
from realproxy.proxying.faults.base import FaultTarget, fault

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@fault("half")
def inject_half(settings: Half, target: FaultTarget) -> None:
    """Truncate the response."""
    target.client.send_filters.append(_Truncation(settings.share, target.client))


class _Truncation:
    """Sends a share of the body, and then resets the connection."""

    def __init__(self, share: float, client: DownstreamConnection) -> None:
        self._share, self._client = share, client
        self._left = -1

    def send(self, sock: socket.socket, pieces: Sequence[bytes | memoryview]) -> int:
        """Send `pieces` up to the limit and return their length; raises `Aborted` at the limit."""
        data = b"".join(pieces)
        if self._left < 0:
            if data.startswith(b"HTTP/1.1 1"):  # an interim response
                sock.sendall(data)
                return len(data)
            self._left = self._limit(data)
        sock.sendall(data[: self._left])
        self._left -= min(len(data), self._left)
        if self._left == 0:
            self._client.reset_on_close()
            raise Aborted(Termination.FAULT)
        return len(data)

    def _limit(self, data: bytes) -> int:
        """Bytes to send of a response that begins with `data`, which holds the whole head."""
        head = data.find(b"\r\n\r\n") + 4
        declared = _LENGTH.search(data, 0, head)
        length = int(declared[1]) if declared is not None else len(data) - head
        return head + int(length * self._share)
