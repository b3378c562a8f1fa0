"""The event loop that waits for clients: for new ones, for their request heads, and until they read on.

Threads. The loop's thread alone accepts (`acceptor.py`) and owns every connection in state WAITING,
SENDING or LINGERING. A whole head goes to the fast path, in the same thread, or to the workers.
Workers call `keep_alive`, `linger` and `close` on what they own: each hands the connection over with the
last thing it does, arming the descriptor in the epoll set. The set is edge-triggered (EPOLLET): what the
loop has read needs no arming again, and arming reports anew what the loop has passed over. A connection
is silenced before it is submitted.
`_handing` makes the state and the arming one step for the sweep, which takes connections unasked.
`_clients` is changed by single dict operations only, which the interpreter makes atomic.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection, ReadResult, State, begins_head
from realproxy.http1 import Malformed
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.isolation import report
from realproxy.runtime.system import epoll_events
from realproxy.server.accept_balance import YIELD
from realproxy.server.acceptor import ARMED, Acceptor
from realproxy.upstream.connection import UpstreamConnection

# To name a member by its class is slow before Python 3.12.
_WAITING, _LINGERING, _SENDING, _HEAD = State.WAITING, State.LINGERING, State.SENDING, ReadResult.HEAD
_OWN = (_WAITING, _LINGERING, _SENDING)
SILENT = epoll_events("EPOLLET")
WRITABLE = epoll_events("EPOLLOUT", "EPOLLRDHUP", "EPOLLET")
LINGER, LAST_LINGER = 5.0, 1.0
"""Seconds, in operation and at a stop, that a client has to read its last response before its unread bytes
reset the connection."""
LAST_CALL = 0.25
"""Seconds that a kept connection has for one more request while the proxy stops: it may be on its way."""
TICK, DRAIN_TICK = 1.0, 0.05
"""Seconds between two sweeps for what has waited too long, at most; while the proxy stops."""
END_PATIENCE = 5.0
"""Seconds that the thread has to end."""


class InlineHandler(Protocol):
    """Runs requests in the loop's thread, which calls all of it."""

    def takes(self, client: DownstreamConnection) -> bool:
        """Begin with a request whose head has arrived; returns whether no worker is needed for now."""

    def go_on_sending(self, client: DownstreamConnection, *, expired: bool = False) -> None:
        """The client reads on, or (`expired`) has not done so in time."""

    def upstream_spoke(self, fd: int) -> None:
        """Something has happened on a connection that a response is awaited on."""

    def sweep(self, now: float) -> float:
        """Give up upstreams that have had their time; returns when a request is due next."""

    def end(self) -> None:
        """Give up all requests."""


class ConnectionLoop:
    """Has clients accepted, and waits for their heads.

    The loop closes the `listeners`. `submit` gives the workers a client whose head is whole, or must be
    refused. `chores` are called with the time at every sweep, and `hurry` after every wake-up: it returns the
    seconds until it wants to be called again, or None. Each of `welcomes` makes the connection of a new
    socket and its address, of the listener in its place. Set `fast_path` before the start.
    """

    def __init__(
        self, listeners: Sequence[socket.socket], limits: Limits, waits: BlockedThreads,
        submit: Callable[[DownstreamConnection], None], chores: list[Callable[[float], None]],
        hurry: Callable[[float], float | None],
        welcomes: Sequence[Callable[[socket.socket, str, BlockedThreads], DownstreamConnection]],
    ) -> None:  # fmt: skip
        self._limits, self._submit, self._chores, self._hurry = limits, submit, chores, hurry
        self._clients: dict[int, DownstreamConnection] = {}
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.entrances = [
            Acceptor(listener, self._epoll, limits, waits, self._clients, welcome)
            for listener, welcome in zip(listeners, welcomes, strict=True)
        ]
        self._doors = {entrance.fd: entrance for entrance in self.entrances}  # those that accept
        self._handing = threading.Lock()
        self._tick = _tick(limits)
        self._next_sweep = self.due = 0.0
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
        """Begin to accept."""
        self._epoll.register(self._wake, select.EPOLLIN)
        for entrance in self.entrances:
            entrance.open()
        self.thread.start()

    def adopt(self, limits: Limits) -> None:
        """Take other limits; a head keeps the limit that it began with."""
        self._limits, self._tick = limits, _tick(limits)
        for entrance in self.entrances:
            entrance.adopt(limits)

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
            if client.state is _LINGERING:
                client.deadline = 0.0
        self.wake()

    def end(self) -> None:
        """End the thread and close what it owns."""
        self._ended = True
        self.wake()
        if self.thread.ident is not None:  # it has started
            self.thread.join(END_PATIENCE)
        if self.fast_path is not None:
            self.fast_path.end()
        for client in list(self._clients.values()):
            if client.state is _SENDING and client.suspended is not None:
                client.suspended.abandon()
            self.close(client)
        self._gone = True  # a worker that is late must not write into what has this number next
        self._epoll.close()
        os.close(self._wake)

    def wake(self) -> None:
        """Have the loop look round now, for there is something that no event tells of."""
        if not self._gone:
            os.eventfd_write(self._wake, 1)

    # --- called by whoever owns the client ------------------------------------------------------

    def keep_alive(self, client: DownstreamConnection) -> None:
        """Wait for the next request."""
        limits = self._limits
        wait = limits.header_timeout if client.buffer else limits.idle_timeout
        client.deadline = time.monotonic() + wait
        self._arm(client, _WAITING)

    def rearm(self, client: DownstreamConnection) -> None:
        """Go on waiting for what was waited for, until the same deadline."""
        self._arm(client, _WAITING)

    def keep_alive_inline(self, client: DownstreamConnection) -> None:
        """Wait for the next request of a client that never left the loop's thread, which calls this."""
        if client.buffer or client.unread or self.draining:
            self.keep_alive_or_submit(client)
        else:
            client.deadline = time.monotonic() + self._limits.idle_timeout
            client.state = _WAITING

    def keep_alive_or_submit(self, client: DownstreamConnection) -> None:
        """Wait for the next request, unless it has arrived already."""
        if client.buffer and client.find_head() is _HEAD:
            client.arrived = time.monotonic()
            self.submit(client)
        else:
            self.keep_alive(client)

    def submit(self, client: DownstreamConnection) -> None:
        """Have a worker go on."""
        if client.watched:
            self._epoll.modify(client.fd, SILENT)
        client.state = State.WORKING
        self._submit(client)

    def await_reader(self, client: DownstreamConnection) -> None:
        """Wait until a client can be sent more; called by the loop's thread."""
        client.deadline = time.monotonic() + self._limits.idle_timeout
        client.state, client.unread = _SENDING, True  # requests that arrive meanwhile are not reported
        self._epoll.modify(client.fd, WRITABLE)

    def linger(self, client: DownstreamConnection) -> None:
        """Close a connection whose client may still be sending, without destroying its last response.

        A close with unread bytes would reset the connection (RFC 9112, 9.6). So the client is told that
        nothing more comes, and what it sends is thrown away for a while.
        """
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close(client)
            return
        client.deadline = time.monotonic() + (LAST_LINGER if self.draining else LINGER)
        self._arm(client, _LINGERING)

    def close(self, client: DownstreamConnection) -> None:
        """Close a connection; the one place that does."""
        self._clients.pop(client.fd, None)
        client.sock.close()
        for entrance in self.entrances:
            entrance.connection_closed()
        if self.draining:
            self.wake()

    def watch(self, connection: UpstreamConnection) -> None:
        """Have the fast path told when an upstream says something; called by the loop's thread."""
        if not connection.watched:
            connection.watched = True
            self._epoll.register(connection.sock.fileno(), ARMED)

    def unwatch(self, connection: UpstreamConnection) -> None:
        """Stop watching an upstream; called by its owner."""
        self._epoll.unregister(connection.sock.fileno())
        connection.watched = False

    def _arm(self, client: DownstreamConnection, state: State) -> None:
        with self._handing:
            client.state, client.unread = state, False
            if client.watched:
                self._epoll.modify(client.fd, ARMED)
            else:
                client.watched = True
                self._epoll.register(client.fd, ARMED)
        if self.draining:
            self.wake()

    # --- the loop's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        poll, monotonic, doors = self._epoll.poll, time.monotonic, self._doors
        wait: float | None = None
        while not self._ended:
            now = monotonic()
            yielding = [entrance for entrance in self.entrances if entrance.yielding]
            until_sweep = max(0.0, self.due - now) if not yielding else YIELD
            events = poll(until_sweep if wait is None else min(wait, until_sweep), 512)
            now = monotonic()
            for entrance in yielding:
                entrance.resume()
            for fd, happened in events:
                client = self._clients.get(fd)
                if client is not None:
                    if happened & select.EPOLLRDHUP:
                        client.unread = True  # its end is told once, and lies behind what it has sent
                    self._read(client, now)
                elif fd in doors:
                    doors[fd].accept(now)
                elif fd == self._wake:
                    self._drained()
                elif self.fast_path is not None:
                    self.fast_path.upstream_spoke(fd)
            wait = self._hurry(now)
            if now >= self.due:
                self._sweep(now)

    def _read(self, client: DownstreamConnection, now: float) -> None:
        with self._handing:  # the state was set a moment before the connection was armed
            state = client.state
        if state is not _WAITING:
            self._see_to(client, state)
            return
        before, opening = client.buffer, client.opening
        try:
            arrival = client.read()
        except Exception as fault:  # noqa: BLE001 - it costs this client its connection, not the loop its thread
            report(fault)
            arrival = ReadResult.END
        if arrival is _HEAD:
            client.arrived = now
            if self.fast_path is None or not self.fast_path.takes(client):
                self.submit(client)
        elif arrival is ReadResult.PART:
            # Empty lines are no head: they give no more time.
            begun = begins_head(client.buffer) and not begins_head(before)
            if begun or client.opening is not opening:
                client.deadline = now + self._limits.header_timeout
            self._epoll.modify(client.fd, ARMED)
        else:
            self.close(client)

    def _see_to(self, client: DownstreamConnection, state: State) -> None:
        """Something has happened to a client that is not waited for."""
        if state is _LINGERING:
            self._discard(client)
        elif state is _SENDING and self.fast_path is not None:
            self.fast_path.go_on_sending(client)
        else:
            client.unread = True  # taken for another reason while this event was on its way

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
        """Look for what is over: the clients now and then, and requests as soon as one is due."""
        due = math.inf if self.fast_path is None else self.fast_path.sweep(now)
        if now >= self._next_sweep:
            self._sweep_clients(now)
        self.due = min(due, self._next_sweep)

    def _sweep_clients(self, now: float) -> None:
        self._next_sweep = now + (DRAIN_TICK if self.draining else self._tick)
        for entrance in self.entrances:
            entrance.retry()
        for client in list(self._clients.values()):
            if client.deadline <= now and self._disarm(client):
                self._expire(client, now)
        for chore in self._chores:
            chore(now)

    def _drained(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        if not self.draining:
            return
        now = time.monotonic()
        self._doors.clear()  # before a descriptor of theirs is a connection's
        for entrance in self.entrances:
            entrance.close(now)
        last_call = min(LAST_CALL, self._limits.drain / 4)
        self._next_sweep = min(self._next_sweep, now + DRAIN_TICK)
        self.due = min(self.due, self._next_sweep)
        for client in list(self._clients.values()):
            if client.state is _LINGERING or client.state is _WAITING:
                grace = LAST_LINGER if client.state is _LINGERING else last_call
                client.deadline = min(client.deadline, now + grace)
            if client.deadline <= now and self._disarm(client):
                self._expire(client, now)
        if not self._clients:
            self.empty.set()

    def _expire(self, client: DownstreamConnection, now: float) -> None:
        """End a connection whose time is over, and which is disarmed."""
        waiting, client.arrived = client.state is _WAITING, now
        if client.state is _SENDING and self.fast_path is not None:
            self.fast_path.go_on_sending(client, expired=True)
        elif waiting and self.draining and client.read() is _HEAD:
            self.submit(client)  # it has arrived just in time
        elif waiting and begins_head(client.buffer):
            client.trouble = Malformed(408, "the request head took too long")
            self.submit(client)
        else:
            self.close(client)

    def _disarm(self, client: DownstreamConnection) -> bool:
        """Take a connection out of the epoll set, if the loop owns it.

        A connection that leaves without an event is still armed. A hang-up would be reported whatever the
        set asks for, and then two threads would own the connection.
        """
        with self._handing:
            if client.state not in _OWN:
                return False
            self._epoll.unregister(client.fd)
            client.watched = False
            return True


def _tick(limits: Limits) -> float:
    """Seconds between two sweeps."""
    return max(0.01, min(TICK, min(limits.header_timeout, limits.idle_timeout, limits.answer_timeout) / 4))
