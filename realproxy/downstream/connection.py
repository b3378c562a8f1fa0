"""A client's connection: its socket, and the bytes that have arrived on it.

Owner: see `State`. Only the owner uses the connection. The owner hands it to another thread, or has the
event loop close it.

The socket is blocking, with the kernel's time limits (SO_RCVTIMEO, SO_SNDTIMEO), so a read is one system
call; a Python time-out would poll first. Reads that must not wait use MSG_DONTWAIT.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from policies.addresses import unmapped
from realproxy.downstream.min_rate import MinRate
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.http1 import Malformed
from realproxy.http1.request import check_partial, too_long
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import DONTWAIT, JOIN_BELOW, send_pieces, skip_bytes

READ = 16 * 2**10
EMPTY_LINES = 64
"""Bytes of empty lines that may come before a head. Some old clients send one after the body of a POST."""


class State(Enum):
    """Who owns a client's connection."""

    WAITING = "event loop, for a head"
    AWAITING = "event loop, until the upstream has sent something"
    SENDING = "event loop, until the client takes more of its response"
    WORKING = "a worker, or the queue of workers"
    LINGERING = "event loop, until the client has read its last response"
    TUNNEL = "relay thread"
    FOLLOWING = "fan-out thread, while another request fetches the response"


class ReadResult(Enum):
    """What has arrived from a client."""

    HEAD = "a whole head, or one that must be refused"
    PART = "not enough yet"
    OTHER = "a whole request of another protocol, see `DownstreamConnection.opening`"
    END = "the connection ended"


class Door(Enum):
    """Which sides of the proxy the listener serves that a client has connected to."""

    BOTH = "the reverse and the forward side"
    REVERSE = "the reverse side, because the forward side has a listener of its own"
    FORWARD = "the forward side"


class Suspended(Protocol):
    """A request that one thread has begun, and another thread goes on with."""

    has_slot: bool
    """Whether it holds one of the workers' slots."""

    @property
    def is_admitted(self) -> bool:
        """Whether it must not be refused any more."""

    def ended_elsewhere(self) -> None:
        """The fan-out thread has ended it."""

    def abandon(self) -> None:
        """Give it up: no thread goes on with it."""


class Owner(Protocol):
    """The event loop, which takes connections back from other threads."""

    aborting: bool
    """Whether it breaks off what is under way."""

    def wake(self) -> None:
        """Have it check everything now."""

    def keep_alive_or_submit(self, client: DownstreamConnection) -> None:
        """Give back a connection. Its next request may have arrived."""

    def linger(self, client: DownstreamConnection) -> None:
        """Close a connection once the client has had time to read its last response."""

    def close(self, client: DownstreamConnection) -> None:
        """Close a connection."""


class SendFilter(Protocol):
    """Another way to send a response, such as slowly."""

    def send(self, sock: socket.socket, pieces: Sequence[bytes | memoryview]) -> int:
        """Send all of `pieces`; returns their length. Raises `OSError`, or `Aborted`."""


_HEAD = ReadResult.HEAD  # to name a member by its class is slow before Python 3.12


def begins_head(buffer: bytes) -> bool:
    """Whether more than a part of an empty line has arrived."""
    return buffer not in (b"", b"\r")


class DownstreamConnection:
    """A client's connection. Times are on the monotonic clock."""

    __slots__ = (
        "_limit", "_scanned", "_skipped", "_waits", "address", "arrived", "buffer", "deadline", "door",
        "ending", "fd", "head_end", "may_block", "pace", "send_filters", "sock", "state", "suspended",
        "trouble", "unread", "unsent", "watched",
    )  # fmt: skip

    opening: object | None = None
    """What comes before HTTP or instead of it, see `realproxy.server.handshake`; None if nothing more does.
    A client has ``limits.header_timeout`` for each."""
    inline = True
    """Whether the event loop's thread may serve it, if there is no `pace`. Not with TLS: a write of encrypted
    bytes may be incomplete."""
    scheme = b"http"
    sni = ""
    """The name that a TLS client asked for; empty if none."""
    caller = ""
    """The name that the client has proven by its certificate; empty if none."""
    failure: LocalReply | None = None
    """Why the `opening` has failed, if that is to be logged; it is sent if it has a status."""
    names: frozenset[str] | None = None
    """Those of the certificate that was chosen by `sni`."""

    def __init__(
        self, sock: socket.socket, address: str, limit: int, waits: BlockedThreads, door: Door = Door.BOTH
    ) -> None:
        self.sock, self.address, self._limit, self._waits = sock, address, limit, waits.events
        self.door = door
        self.fd = sock.fileno()
        self.state = State.WAITING
        self.buffer = b""  # what has arrived and is not used yet
        self.head_end = self._scanned = self._skipped = 0  # head_end: of a whole head in `buffer`, else 0
        self.trouble: Malformed | None = None  # why what has arrived must be refused
        self.watched = True  # the socket is in the event loop's epoll set
        self.suspended: Suspended | None = None  # the request that a worker is to go on with
        self.may_block = True  # `send` may wait; if not, it keeps in `unsent` what the client does not take
        self.unsent: list[bytes | memoryview] = []
        self.unread = False  # there may be unread bytes
        self.ending = False  # the proxy is about to end
        self.arrived = 0.0  # when the head in `buffer` was whole
        self.deadline = 0.0  # when the event loop gives up
        self.pace: MinRate | None = None
        self.send_filters: list[SendFilter] = []  # the last one sends the present response

    @property
    def leaving(self) -> bool:
        """Whether the response under way is the last: the proxy ends, and no other request has arrived."""
        return self.ending and not self.buffer

    def read(self) -> ReadResult:
        """Read once without waiting."""
        try:
            data = self.sock.recv(READ, DONTWAIT)
        except BlockingIOError:
            return ReadResult.PART
        except OSError:
            return ReadResult.END
        if not data:
            return ReadResult.END
        if len(data) == READ:
            self.unread = True
        self.buffer = self.buffer + data if self.buffer else data
        return self.find_head()

    def find_head(self) -> ReadResult:
        """Whether `buffer` begins with a whole head. Empty lines before it do not count (RFC 9112, 2.2)."""
        buffer = self.buffer
        try:
            if buffer.startswith(b"\r\n"):
                buffer = self._skip_empty_lines(buffer)
            end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
            if end < 0:
                check_partial(buffer, self._scanned, self._limit)
                self._scanned = len(buffer)
                return ReadResult.PART
            if end + 4 > self._limit:
                raise too_long(buffer[: self._limit])
        except Malformed as error:
            self.trouble = error
            return _HEAD
        self.head_end = end + 4
        return _HEAD

    def _skip_empty_lines(self, buffer: bytes) -> bytes:
        """What comes after the empty lines; raises `Malformed` 400 if there are too many."""
        start = 0
        while start <= EMPTY_LINES and buffer.startswith(b"\r\n", start):
            start += 2
        self._skipped += start
        self._scanned = 0
        if self._skipped > EMPTY_LINES:
            raise Malformed(400, "too many empty lines before a request")
        self.buffer = buffer[start:]
        return self.buffer

    def take_head(self) -> bytes:
        """Take the head from the front of `buffer`; raises `Malformed`."""
        if self.trouble is not None:
            raise self.trouble
        if self.pace is not None:
            self.pace.restart()
        buffer, end = self.buffer, self.head_end
        self.head_end = self._scanned = self._skipped = 0
        if end == len(buffer):
            self.buffer = b""
            return buffer
        self.buffer = buffer[end:]
        return buffer[:end]

    def handshake(self) -> ReadResult:
        """Go on with the `opening`, in a worker."""
        raise NotImplementedError

    def send_early(self, data: bytes) -> None:
        """Send bytes to a client whose `opening` has failed, if it takes them at once."""
        self.try_send_all(data)

    def peer(self) -> tuple[str, int]:
        """The client's IP address and port; raises `OSError` if the client is gone."""
        host, port = self.sock.getpeername()[:2]
        return unmapped(host), port

    def ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """`peer`, and the IP address and port that the client has connected to; raises `OSError`."""
        host, port = self.sock.getsockname()[:2]
        return self.peer(), (unmapped(host), port)

    def receive(self, size: int) -> bytes:
        """Wait for more of a body; raises `Aborted`."""
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            raise Aborted(Termination.CLIENT_SLOW) from None
        except OSError:
            raise Aborted from None
        if not data:
            raise Aborted
        return data

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Send all of `pieces`; returns their length in bytes. Raises `Aborted`."""
        if not self.may_block:
            return self._send_some(pieces)
        self._waits[self.fd] = select.POLLOUT
        try:
            if self.send_filters:
                return self.send_filters[-1].send(self.sock, pieces)
            if self.pace is not None:
                return self.pace.send(self.sock, pieces)
            return send_pieces(self.sock, pieces)
        except BlockingIOError:
            raise Aborted(Termination.CLIENT_SLOW) from None
        except OSError:
            raise Aborted from None
        finally:
            del self._waits[self.fd]

    def _send_some(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Send without waiting, and keep the rest in `unsent`."""
        if self.unsent:
            self.unsent += pieces
            return sum(map(len, pieces))
        try:
            if len(pieces) <= 2 and len(pieces[-1]) <= JOIN_BELOW:
                data = b"".join(pieces)
                total = len(data)
                sent = self.sock.send(data, DONTWAIT)
            else:
                total = sum(map(len, pieces))
                sent = self.sock.sendmsg(pieces, (), DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise Aborted from None
        if sent < total:
            self.unsent = skip_bytes(pieces, sent)
        return total

    def flush(self) -> None:
        """Send what is left in `unsent`; raises `Aborted`."""
        pieces, self.unsent = self.unsent, []
        self.send(pieces)

    def try_send_all(self, data: bytes) -> None:
        """Send `data` without waiting; raises `Aborted` if not all of it could be sent."""
        try:
            sent = self.sock.send(data, DONTWAIT)
        except OSError:
            raise Aborted from None
        if sent < len(data):
            raise Aborted

    def reset_on_close(self) -> None:
        """Close with a TCP RST: the only sign that a body which ends with the connection is not whole."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
