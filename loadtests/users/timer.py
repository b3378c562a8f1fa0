"""Punctual waking for greenlets.

gevent's timers round up to whole milliseconds, because epoll does. A request would be sent 0.6 ms late on
average, which is as long as a cached response takes. A Linux timerfd is a timer with a resolution of
nanoseconds, and epoll can watch it like a socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import itertools
import os
import time

import gevent
from gevent.hub import Waiter

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_READ = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Timerspec(ctypes.Structure):
    """``struct itimerspec``, see timerfd_create(2)."""

    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    ]  # fmt: skip


class Timer:
    """Wakes greenlets at given times of the monotonic clock, for one gevent hub.

    Raises
    ------
    OSError
        If the system cannot create a timer.
    """

    def __init__(self) -> None:
        self._timer = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._waiting: list[tuple[float, int, Waiter]] = []
        self._order = itertools.count()
        self._watcher = gevent.get_hub().loop.io(self._timer, _READ)
        self._watcher.start(self._ring)

    def sleep_until(self, moment: float) -> None:
        """Let other greenlets run until `moment`, or once if `moment` has passed."""
        if moment <= time.monotonic():
            gevent.sleep(0)
            return
        waiter = Waiter()
        entry = (moment, next(self._order), waiter)
        heapq.heappush(self._waiting, entry)
        if self._waiting[0] is entry:
            self._set(moment)
        waiter.get()

    def _ring(self) -> None:
        """Runs in the hub when the timer has expired; epoll may also call it without a reason."""
        with contextlib.suppress(
            BlockingIOError
        ):  # an exception would end the watcher, and no greenlet would wake
            os.read(self._timer, 8)
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            heapq.heappop(self._waiting)[2].switch(None)
        if self._waiting:
            self._set(self._waiting[0][0])

    def _set(self, moment: float) -> None:
        seconds, nanoseconds = divmod(int(moment * 1e9), 1_000_000_000)
        spec = _Timerspec(0, 0, seconds, nanoseconds)
        if _libc.timerfd_settime(self._timer, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def close(self) -> None:
        """Close the timer; no greenlet may be waiting."""
        self._watcher.stop()
        os.close(self._timer)
