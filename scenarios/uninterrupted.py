"""Protects code that must not be interrupted half-way, such as the start of a process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_INTERRUPTIONS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Windows has no SIGHUP."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay interruptions (SIGINT, SIGTERM, SIGHUP) that arrive inside the block until its end.

    Python runs signal handlers only in the main thread, so in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append((number, frame))

    handlers = {number: signal.getsignal(number) for number in _INTERRUPTIONS}
    python_handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in python_handlers:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in python_handlers.items():
            signal.signal(number, handler)
        for number, frame in arrived:
            python_handlers[signal.Signals(number)](number, frame)
