"""Isolation: an exception in one connection's code must not end a thread that serves many."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable


def isolated(function: Callable[..., object], *arguments: object) -> bool:
    """Call a function and report its exception; returns whether there was none."""
    try:
        function(*arguments)
    except Exception as fault:  # noqa: BLE001
        report(fault)
        return False
    return True


def report(fault: Exception) -> None:
    """Print a fault with its traceback as `threading` prints an uncaught one."""
    threading.excepthook(threading.ExceptHookArgs((type(fault), fault, fault.__traceback__, None)))


def location_of(fault: Exception) -> tuple[str, int]:
    """The file and line that raised a fault."""
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    return frame.filename, frame.lineno or 0
