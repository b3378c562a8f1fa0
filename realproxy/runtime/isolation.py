"""A fault of the program costs the one that is served, not the thread that serves them all.

The front, the relay and the follow thread each serve everybody. What they call on behalf of one
connection is attempted: if it fails it is reported as the fault of a thread would be, and the thread goes on.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable


def isolated(function: Callable[..., object], *arguments: object) -> bool:
    """Call a function; returns whether it came to its end."""
    try:
        function(*arguments)
    except Exception as fault:  # noqa: BLE001
        report(fault)
        return False
    return True


def report(fault: Exception) -> None:
    """Say what has gone wrong, with its traceback, where the faults of threads are said."""
    threading.excepthook(threading.ExceptHookArgs((type(fault), fault, fault.__traceback__, None)))


def location_of(fault: Exception) -> tuple[str, int]:
    """The file and line that raised it."""
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    return frame.filename, frame.lineno or 0
