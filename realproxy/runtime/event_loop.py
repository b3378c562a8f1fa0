"""An event loop: one thread that runs calls, timers and socket handlers, and waits only in epoll.

Threads. Any thread may use `call` and `stop`. Everything else belongs to the thread of the loop, and
so does every socket from its first `watch` to its `forget`. A handler must not block: while it runs,
nothing else in the loop does. A handler that raises is reported, and costs nothing but itself.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable

from realproxy.runtime.isolation import isolated

STOP_TIMEOUT = 5.0
"""Seconds that `stop` waits for the thread. A thread that needs longer closes what it owns later."""
MAX_EVENTS = 256
"""Events that one round takes from epoll."""

Handler = Callable[[int, float], None]
"""Takes the epoll events of a socket, and the time on the monotonic clock."""


class Timer:
    """A call at a later time; belongs to the thread of its loop."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[float], None]) -> None:
        self.function: Callable[[float], None] | None = function

    def cancel(self) -> None:
        """Do not call, and release what the call refers to. Has no effect after the call."""
        self.function = None


class EventLoop:
    """The loop and its thread, which starts at once.

    When the loop stops, its thread calls the functions in `at_stop`, the last one first. Any thread may
    append to the list before the stop.
    """

    def __init__(self, thread_name: str) -> None:
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_lock = threading.Lock()
        """Held around each use of `_wake`: after the stop, its number may be another descriptor's."""
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._handlers: dict[int, tuple[int, Handler]] = {self._wake: (select.EPOLLIN, self._run_calls)}
        self._forgotten: set[int] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._stopping = False
        self.at_stop: list[Callable[[], None]] = []
        self._epoll.register(self._wake, select.EPOLLIN)
        self.thread = threading.Thread(target=self._run, name=thread_name, daemon=True)
        try:
            self.thread.start()
        except RuntimeError:  # there are too many threads
            self._close()
            raise

    # --- called by any thread -------------------------------------------------------------------

    def call(self, function: Callable[[], None]) -> bool:
        """Call `function` soon, in the order of the calls; after the stop, return False instead."""
        with self._wake_lock:
            if self._wake < 0:
                return False
            self._calls.put(function)
            os.eventfd_write(self._wake, 1)
        return True

    def stop(self) -> None:
        """Run the calls that are queued and `at_stop`, then end the thread and wait for its end."""
        self.call(self._stop)
        self.thread.join(STOP_TIMEOUT)

    # --- called in the thread of the loop -------------------------------------------------------

    def at(self, when: float, function: Callable[[float], None]) -> Timer:
        """Call `function` with the time, at `when` on the monotonic clock or soon after it."""
        timer = Timer(function)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def watch(self, sock: socket.socket, events: int, handler: Handler) -> None:
        """Call `handler` at `events` of a socket, instead of what was asked before.

        Without events the socket is forgotten, because epoll reports a hang-up in any case.
        """
        if events == 0:
            self.forget(sock)
            return
        fd = sock.fileno()
        before = self._handlers.get(fd)
        if before is None:
            self._epoll.register(fd, events)
        elif before[0] != events:
            self._epoll.modify(fd, events)
        self._handlers[fd] = events, handler

    def forget(self, sock: socket.socket) -> None:
        """Wait for nothing on a socket any more; must come before its close."""
        fd = sock.fileno()
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            self._forgotten.add(fd)

    def _run(self) -> None:
        while not self._stopping:
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            events = self._epoll.poll(wait, MAX_EVENTS)
            now = time.monotonic()
            self._forgotten.clear()
            for fd, happened in events:
                known = self._handlers.get(fd)
                # A handler may have closed the socket of a later event, and its number may be in use again.
                if known is None or fd in self._forgotten:
                    continue
                if not isolated(known[1], happened, now) and fd not in self._forgotten:
                    self._drop(fd)
            while self._timers and self._timers[0][0] <= now:
                function = heapq.heappop(self._timers)[2].function
                if function is not None:
                    isolated(function, now)
        self._close()

    def _run_calls(self, _events: int, _now: float) -> None:
        """Run what is queued now; what these calls queue waits for its turn behind the events."""
        os.eventfd_read(self._wake)
        for _ in range(self._calls.qsize()):
            isolated(self._calls.get())

    def _drop(self, fd: int) -> None:
        """Do not call again a handler that has raised."""
        self._handlers.pop(fd, None)
        with contextlib.suppress(OSError):  # the socket may be closed
            self._epoll.unregister(fd)

    def _stop(self) -> None:
        self._stopping = True

    def _close(self) -> None:
        with self._wake_lock:
            os.close(self._wake)
            self._wake = -1
        while not self._calls.empty():
            isolated(self._calls.get())
        while self.at_stop:
            isolated(self.at_stop.pop())
        self._epoll.close()
        self._handlers.clear()
        self._timers.clear()
