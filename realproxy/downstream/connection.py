"""A client's connection: its socket and what has arrived on it.

Owner: the front thread while it waits for a head, one worker while a request is answered, the
relay thread once it is a tunnel, the follow thread while it waits for another's fetch. Whoever
owns it hands it on or has `Front.close` close it.

The socket is blocking with kernel time limits (SO_RCVTIMEO, SO_SNDTIMEO): one system call a
read, where a Python time-out would poll first. Reads that must not wait say MSG_DONTWAIT.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from realproxy.downstream.min_rate import MinRate
from realproxy.errors import Aborted, Termination
from realproxy.http1 import Malformed
from realproxy.http1.request import check_partial, too_long
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import DONTWAIT, JOIN_BELOW, send_pieces, skip_bytes
from realproxy.socks import ServerHandshake

READ = 16 * 2**10
EMPTY_LINES = 64
"""Bytes of empty lines that may come before a head. Some old clients send one behind the body of a POST."""


class State(Enum):
    """Who owns a client's connection."""

    WAITING = "front thread, for a head"
    AWAITING = "front thread, until its upstream has something to say"
    WORKING = "a worker, or the queue of workers"
    LINGERING = "front thread, until the client has read its last answer"
    TUNNEL = "relay thread"
    FOLLOWING = "follow thread, until it has what another one fetches"


class ReadResult(Enum):
    """What one read from a client brought."""

    HEAD = "a whole head, or one that must be refused"
    PART = "not enough yet"
    SOCKS = "a part of a SOCKS handshake"
    END = "the connection ended"


class Suspended(Protocol):
    """A request that one thread has begun with, and another thread goes on with."""

    @property
    def has_slot(self) -> bool:
        """Whether it holds one of the workers' slots."""

    @property
    def is_admitted(self) -> bool:
        """Whether it must not be refused any more."""

    def ended_elsewhere(self) -> None:
        """The fan-out thread has ended it."""

    def abandon(self) -> None:
        """Give up: no thread will go on with it."""


class Owner(Protocol):
    """Whoever takes connections back from other threads: the front."""

    aborting: bool
    """Whether it breaks what is still open."""

    def wake(self) -> None:
        """Have it look round now, for there is something that no event tells of."""

    def give_back(self, client: DownstreamConnection) -> None:
        """Hand a connection back whose next request may have arrived already."""

    def linger(self, client: DownstreamConnection) -> None:
        """Close a connection whose client may still be sending, without destroying its last answer."""

    def close(self, client: DownstreamConnection) -> None:
        """Close a connection."""


class SendFilter(Protocol):
    """Another way to send an answer, such as slowly."""

    def send(self, sock: socket.socket, pieces: Sequence[bytes | memoryview]) -> int:
        """Send all of `pieces`; returns their length. Raises `OSError`, or `Aborted`."""


_HEAD = ReadResult.HEAD  # to name a member by its class is slow before Python 3.12


def begins_head(buffer: bytes) -> bool:
    """Whether more has arrived than half an empty line."""
    return buffer not in (b"", b"\r")


class DownstreamConnection:
    """A client's connection.

    Attributes
    ----------
    buffer : bytes
        What has arrived and is not used yet.
    head_end : int
        Length of the head at the front of `buffer`; 0 if it is not whole.
    trouble : Malformed or None
        Why what has arrived must be refused.
    arrived : float
        When the head at the front was whole, on the monotonic clock.
    deadline : float
        When the owner gives up waiting, while the front thread owns it.
    socks : ServerHandshake or None
        The handshake that has begun on it.
    watched : bool
        Whether the socket is in the front's epoll set.
    handshaking : bool
        Whether something is still to come before HTTP, see `realproxy.server.handshake`.
    scheme : bytes
        ``http`` or ``https``.
    send_filters : list of SendFilter
        How the present answer is sent, if not as usual; the last one counts.
    pace : MinRate or None
        How fast it must be; None if that does not matter.
    sni : str
        The name that a TLS client asked for; empty if none.
    suspended : Suspended or None
        Its request, if the front thread has begun with it, or it has waited for another's fetch in
        vain, and a worker is to go on.
    may_block : bool
        Whether `send` may wait. If not, what the client does not take at once is kept in `unsent`.
    ending : bool
        Whether the proxy is about to end.
    unread : bool
        Whether more may have arrived than the front thread has taken note of.
    unsent : list of bytes-like
        What was to be sent before all else, see `flush`.
    """

    __slots__ = (
        "_limit",
        "_scanned",
        "_skipped",
        "_waits",
        "address",
        "arrived",
        "buffer",
        "deadline",
        "ending",
        "fd",
        "head_end",
        "may_block",
        "pace",
        "send_filters",
        "sock",
        "socks",
        "state",
        "suspended",
        "trouble",
        "unread",
        "unsent",
        "watched",
    )  # fmt: skip

    handshaking = False
    inline = True
    """Whether the event loop's thread may serve it, if there is no `pace`. Not with TLS: a write of encrypted
    bytes may be incomplete."""
    scheme = b"http"
    sni = ""

    def __init__(self, sock: socket.socket, address: str, limit: int, waits: BlockedThreads) -> None:
        self.sock, self.address, self._limit, self._waits = sock, address, limit, waits.events
        self.fd = sock.fileno()
        self.state = State.WAITING
        self.buffer = b""
        self.head_end = self._scanned = self._skipped = 0
        self.trouble: Malformed | None = None
        self.socks: ServerHandshake | None = None
        self.watched = True
        self.suspended: Suspended | None = None
        self.may_block, self.unread, self.ending = True, False, False
        self.unsent: list[bytes | memoryview] = []
        self.arrived = self.deadline = 0.0
        self.pace: MinRate | None = None
        self.send_filters: list[SendFilter] = []

    @property
    def leaving(self) -> bool:
        """Whether the answer under way is the last: the proxy ends, and no other request has arrived."""
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
        if buffer < b"\x06" and self._begins_socks():
            return ReadResult.SOCKS
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
        """What is behind the empty lines; raises `Malformed` 400 if there is no end of them."""
        start = 0
        while start <= EMPTY_LINES and buffer.startswith(b"\r\n", start):
            start += 2
        self._skipped += start
        self._scanned = 0
        if self._skipped > EMPTY_LINES:
            raise Malformed(400, "too many empty lines before a request")
        self.buffer = buffer[start:]
        return self.buffer

    def _begins_socks(self) -> bool:
        """Whether the first byte of the connection is the version of SOCKS, which no HTTP begins with."""
        return self.buffer[:1] in (b"\x04", b"\x05") and not self.arrived

    def take_head(self) -> bytes:
        """The head at the front of `buffer`; raises what is wrong with it."""
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
        """Go on with what comes before HTTP; called by a worker while `handshaking`."""
        raise NotImplementedError

    def peer(self) -> tuple[str, int]:
        """IP address and port that it comes from; raises `OSError` when it is gone."""
        host, port = self.sock.getpeername()[:2]
        return host, port

    def receive_at_once(self) -> bool:
        """Take what there is into `buffer`, without waiting, whatever it is; whether the connection lives."""
        try:
            data = self.sock.recv(READ, DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.buffer += data
        return bool(data)

    def send_at_once(self, data: bytes) -> bool:
        """Send without waiting; returns whether all of it could be sent."""
        try:
            return self.sock.send(data, DONTWAIT) == len(data)
        except OSError:
            return False

    def ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """`peer`, and the address and port that it connected to; raises `OSError` when it is gone."""
        host, port = self.sock.getsockname()[:2]
        return self.peer(), (host, port)

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
        """Send all of `pieces`; returns their length in bytes, raises `Aborted`."""
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
        """Send what can be sent without waiting, and keep the rest."""
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
        """Send what is left of earlier answers; raises `Aborted`."""
        if self.unsent:
            pieces, self.unsent = self.unsent, []
            self.send(pieces)

    def try_send_all(self, data: bytes) -> None:
        """Send `data` if all of it can be sent at once; raises `Aborted` if not."""
        try:
            sent = self.sock.send(data, DONTWAIT)
        except OSError:
            raise Aborted from None
        if sent < len(data):
            raise Aborted

    def reset_on_close(self) -> None:
        """Let the close be seen as an error: the only sign of a cut body that ends with the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
