"""The front: one thread that waits for clients and for their request heads.

Threads. The front thread alone accepts (`entrance.py`) and owns every connection in state WAITING or
LINGERING. A whole head goes to the fast path, in the same thread, or to the workers' queue.
Workers call `resume`, `linger` and `close` on what they own: each hands the connection over with the
last thing it does, arming the descriptor in the epoll set. It is edge-triggered (EPOLLET): what the
front has read needs no arming again, and what it has passed over is reported anew by arming. Before
a connection is handed on it is silenced.
`_handing` makes the state and the arming one step for the sweep, which takes connections unasked.
`_clients` is changed by single dict operations only, which the interpreter makes atomic.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection, ReadResult, State, begins_head
from realproxy.http1 import Malformed
from realproxy.runtime.blocking import BlockedThreads
from realproxy.server.accept_balance import YIELD
from realproxy.server.acceptor import ARMED, Acceptor
from realproxy.socks import ServerHandshake

# To name a member by its class is slow before Python 3.12.
_WAITING, _LINGERING, _HEAD = State.WAITING, State.LINGERING, ReadResult.HEAD
SILENT = int(select.EPOLLET)
LINGER = 5.0
"""Seconds that a client has to read its last answer before its unread bytes reset the connection."""
LAST_LINGER = 1.0
"""The same while the proxy stops."""
LAST_CALL = 0.25
"""Seconds that a kept connection has for one more request while the proxy stops: it may be on its way."""
TICK = 1.0
"""Seconds between two sweeps for what has waited too long, at most."""
DRAIN_TICK = 0.05
"""The same while the proxy stops."""
END_PATIENCE = 5.0
"""Seconds that the thread has to end."""


class InlineHandler(Protocol):
    """Answers in the front thread what needs no waiting; all is called by that thread."""

    def takes(self, client: DownstreamConnection) -> bool:
        """Begin with a request whose head has arrived; returns whether no worker is needed for now."""

    def upstream_spoke(self, fd: int) -> None:
        """Something has happened on a connection that an answer is awaited on."""

    def sweep(self, now: float) -> None:
        """See to what has waited too long."""

    def end(self) -> None:
        """Let go of what is still awaited."""


class HasDescriptor(Protocol):
    """A socket, or what stands for one."""

    def fileno(self) -> int:
        """Its descriptor."""


class Watched(Protocol):
    """A connection to an upstream on which the fast path awaits something."""

    watched: bool
    """Whether it is in the front's epoll set."""

    @property
    def sock(self) -> HasDescriptor:
        """What is watched."""


class ConnectionLoop:
    """Has clients accepted, and waits for their heads.

    Parameters
    ----------
    listener : socket.socket
        Bound and listening; the front closes it.
    limits : Limits
        From the settings.
    waits : BlockedThreads
        Where workers that wait for clients are counted.
    submit : callable
        Takes a client whose head is whole, or must be refused.
    chores : list of callable
        Called with the time at every sweep.
    hurry : callable
        Called with the time after every wake-up; returns seconds until it wants to be called again, or None.
    welcome : callable
        Makes the client of a new socket and its address.

    Attributes
    ----------
    entrance : Acceptor
        Accepts the clients.
    handshake : callable
        Returns a new handshake for a client that speaks SOCKS, or None if that is off. Set before the start.
    fast_path : InlineHandler or None
        Answers what needs no waiting. Set before the start.
    """

    def __init__(
        self,
        listener: socket.socket,
        limits: Limits,
        waits: BlockedThreads,
        submit: Callable[[DownstreamConnection], None],
        chores: list[Callable[[float], None]],
        hurry: Callable[[float], float | None],
        welcome: Callable[[socket.socket, str, BlockedThreads], DownstreamConnection],
    ) -> None:
        self._limits, self.submit, self._chores, self._hurry = limits, submit, chores, hurry
        self.handshake: Callable[[], ServerHandshake | None] = _no_socks
        self._clients: dict[int, DownstreamConnection] = {}
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.entrance = Acceptor(listener, self._epoll, limits, waits, self._clients, welcome)
        self._handing = threading.Lock()
        self._tick = _tick(limits)
        self._next_sweep = 0.0
        self.fast_path: InlineHandler | None = None
        self.draining = self.aborting = False
        self.empty = threading.Event()
        self._ended = self._gone = False
        self.thread = threading.Thread(target=self._run, name="proxy-front", daemon=True)

    @property
    def connections(self) -> int:
        """Client connections that are open."""
        return len(self._clients)

    # --- called by the owner of the proxy -------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._epoll.register(self._wake, select.EPOLLIN)
        self.entrance.open()
        self.thread.start()

    def adopt(self, limits: Limits) -> None:
        """Keep other limits from now on; connections keep the limit of a head that they began with."""
        self._limits, self._tick = limits, _tick(limits)
        self.entrance.adopt(limits)

    def drain(self) -> None:
        """Accept no more, soon close idle connections; `empty` is set when the last one is gone."""
        self.draining = True
        for client in list(self._clients.values()):
            client.ending = True
        self.wake()

    def abort(self) -> None:
        """Break what is still open, so that its owner notices and closes it."""
        self.aborting = True
        for client in list(self._clients.values()):
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_RDWR)
            if client.state is State.LINGERING:
                client.deadline = 0.0
        self.wake()

    def end(self) -> None:
        """End the thread and close what it owns."""
        self._ended = True
        self.wake()
        self.thread.join(END_PATIENCE)
        if self.fast_path is not None:
            self.fast_path.end()
        for client in list(self._clients.values()):
            self.close(client)
        self._gone = True  # a worker that is late must not write into what has this number next
        self._epoll.close()
        os.close(self._wake)

    def wake(self) -> None:
        """Have the front look round now, for there is something that no event tells of."""
        if not self._gone:
            os.eventfd_write(self._wake, 1)

    # --- called by whoever owns the client ------------------------------------------------------

    def resume(self, client: DownstreamConnection) -> None:
        """Hand a connection back, to wait for its next request."""
        limits = self._limits
        wait = limits.header_timeout if client.buffer else limits.idle_timeout
        client.deadline = time.monotonic() + wait
        self._hand_over(client, State.WAITING)

    def await_more(self, client: DownstreamConnection) -> None:
        """Hand a connection back that goes on waiting, not beyond the deadline that it has."""
        self._hand_over(client, State.WAITING)

    def stay(self, client: DownstreamConnection) -> None:
        """Wait for the next request of a client that was never handed on; called by the front thread."""
        if client.buffer and client.find_head() is _HEAD:
            self._to_worker(client, time.monotonic())
        elif client.unread:
            self.resume(client)
        else:
            limits = self._limits
            wait = limits.header_timeout if client.buffer else limits.idle_timeout
            client.deadline = time.monotonic() + wait
            client.state = _WAITING
            if self.draining:
                self.wake()

    def give_back(self, client: DownstreamConnection) -> None:
        """Hand a connection back whose next request may have arrived already."""
        if client.buffer and client.find_head() is _HEAD:
            self._to_worker(client, time.monotonic())
        else:
            self.resume(client)

    def linger(self, client: DownstreamConnection) -> None:
        """Close a connection whose client may still be sending, without destroying its last answer.

        Closing with unread bytes would reset the connection (RFC 9112, 9.6): say that nothing
        more comes, and throw away what arrives for a while.
        """
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close(client)
            return
        client.deadline = time.monotonic() + (LAST_LINGER if self.draining else LINGER)
        self._hand_over(client, State.LINGERING)

    def close(self, client: DownstreamConnection) -> None:
        """Close a connection: the one place that does."""
        self._clients.pop(client.fd, None)
        client.sock.close()
        self.entrance.connection_closed()
        if self.draining:
            self.wake()

    def watch(self, connection: Watched) -> None:
        """Have the fast path told when an upstream says something; called by the front thread."""
        if not connection.watched:
            connection.watched = True
            self._epoll.register(connection.sock.fileno(), ARMED)

    def unwatch(self, connection: Watched) -> None:
        """Look no more at an upstream; called by its owner."""
        self._epoll.unregister(connection.sock.fileno())
        connection.watched = False

    def _hand_over(self, client: DownstreamConnection, state: State) -> None:
        with self._handing:
            client.state, client.unread = state, False
            if client.watched:
                self._epoll.modify(client.fd, ARMED)
            else:
                client.watched = True
                self._epoll.register(client.fd, ARMED)
        if self.draining:
            self.wake()

    # --- the front thread -----------------------------------------------------------------------

    def _run(self) -> None:
        poll, monotonic, entrance = self._epoll.poll, time.monotonic, self.entrance
        wait: float | None = None
        while not self._ended:
            now = monotonic()
            until_sweep = max(0.0, self._next_sweep - now) if not entrance.yielding else YIELD
            events = poll(until_sweep if wait is None else min(wait, until_sweep), 512)
            now = monotonic()
            if entrance.yielding:
                entrance.resume()
            for fd, happened in events:
                client = self._clients.get(fd)
                if client is not None:
                    if happened & select.EPOLLRDHUP:
                        client.unread = True  # its end is told once, and lies behind what it has sent
                    self._read(client, now)
                elif fd == entrance.fd:
                    entrance.accept(now)
                elif fd == self._wake:
                    self._drained()
                elif self.fast_path is not None:
                    self.fast_path.upstream_spoke(fd)
            wait = self._hurry(now)
            if now >= self._next_sweep:
                self._sweep(now)

    def _read(self, client: DownstreamConnection, now: float) -> None:
        with self._handing:  # who hands a client over has set its state a moment before it is armed
            state = client.state
            if state is not _WAITING and state is not _LINGERING:
                client.unread = True  # taken for another reason while this event was on its way
                return
        if state is _LINGERING:
            self._discard(client)
            return
        if client.socks is not None:
            self._shake_hands(client, now)
            return
        before, opening = client.buffer, client.handshaking
        arrival = client.read()
        if arrival is _HEAD:
            client.arrived = now
            if self.fast_path is None or not self.fast_path.takes(client):
                self.hand_to_worker(client)
        elif arrival is ReadResult.PART:
            # Empty lines are no head: they give nobody more time.
            begun = begins_head(client.buffer) and not begins_head(before)
            if begun or (opening and not client.handshaking):
                client.deadline = now + self._limits.header_timeout
            self._epoll.modify(client.fd, ARMED)
        elif arrival is ReadResult.SOCKS:
            self._shake_hands(client, now)
        else:
            self.close(client)

    def _shake_hands(self, client: DownstreamConnection, now: float) -> None:
        """Go on with SOCKS. Its replies are few bytes: who has no room for them is not waited for."""
        if client.socks is None:
            client.socks = self.handshake()
            client.deadline = now + self._limits.header_timeout
            if client.socks is None:
                client.trouble = Malformed(400, "not an HTTP/1.1 request")
                self._to_worker(client, now)
                return
        elif not client.receive_at_once():
            self.close(client)
            return
        data, client.buffer = client.buffer, b""
        answer = client.socks.feed(data)
        if answer and not client.send_at_once(answer):
            self.close(client)
        elif client.socks.ended:
            self._to_worker(client, now)
        else:
            self._epoll.modify(client.fd, ARMED)

    def _discard(self, client: DownstreamConnection) -> None:
        try:
            gone = not client.sock.recv(64 * 2**10, socket.MSG_DONTWAIT)
        except BlockingIOError:
            gone = False
        except OSError:
            gone = True
        if gone:
            self.close(client)
        else:
            self._epoll.modify(client.fd, ARMED)

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + (DRAIN_TICK if self.draining else self._tick)
        self.entrance.retry()
        for client in list(self._clients.values()):
            if client.deadline <= now and self._take(client):
                self._part_with(client, now)
        for chore in self._chores:
            chore(now)
        if self.fast_path is not None:
            self.fast_path.sweep(now)

    def _drained(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        if not self.draining:
            return
        now = time.monotonic()
        self.entrance.close(now)
        last_call = min(LAST_CALL, self._limits.drain / 4)
        self._next_sweep = min(self._next_sweep, now + DRAIN_TICK)
        for client in list(self._clients.values()):
            if client.state in (State.LINGERING, State.WAITING):
                grace = LAST_LINGER if client.state is State.LINGERING else last_call
                client.deadline = min(client.deadline, now + grace)
            if client.deadline <= now and self._take(client):
                self._part_with(client, now)
        if not self._clients:
            self.empty.set()

    def _part_with(self, client: DownstreamConnection, now: float) -> None:
        """Close a connection that was taken because its time is over."""
        waiting = client.state is State.WAITING
        if waiting and self.draining and client.read() is ReadResult.HEAD:
            self._to_worker(client, now)  # it has arrived just in time
        elif waiting and begins_head(client.buffer):
            client.trouble = Malformed(408, "the request head took too long")
            self._to_worker(client, now)
        else:
            self.close(client)

    def _take(self, client: DownstreamConnection) -> bool:
        """Take a connection out of the epoll set, if the front owns it.

        One that is to be closed or handed on without an event is still armed, and a hang-up would
        be reported whatever is asked for: two threads would own it.
        """
        with self._handing:
            if client.state not in (State.WAITING, State.LINGERING):
                return False
            self._epoll.unregister(client.fd)
            client.watched = False
            return True

    def _to_worker(self, client: DownstreamConnection, now: float) -> None:
        client.arrived = now
        self.hand_to_worker(client)

    def hand_to_worker(self, client: DownstreamConnection) -> None:
        """Have a worker go on; called by the front thread, or by whoever owns the client."""
        if client.watched:
            self._epoll.modify(client.fd, SILENT)
        client.state = State.WORKING
        self.submit(client)


def _tick(limits: Limits) -> float:
    """Seconds between two sweeps."""
    return max(0.01, min(TICK, min(limits.header_timeout, limits.idle_timeout, limits.answer_timeout) / 4))


def _no_socks() -> ServerHandshake | None:
    return None
