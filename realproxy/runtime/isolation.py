"""Isolation: an exception in one connection's code must not end a thread that serves many."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable

from policies.contract import PolicyFault, blamed

OWN_POLICY = "proxytwin: own policy: "
"""What a line about a fault of an own policy begins with; a real run looks for it."""


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


_SAY_AGAIN = 1.0
_said: dict[str, float] = {}


def say(fault: PolicyFault) -> None:
    """Print a fault of an own policy in one line; at most once a second if every request has it."""
    line, now = f"{OWN_POLICY}{fault}", time.monotonic()
    if now - _said.get(line, -_SAY_AGAIN) >= _SAY_AGAIN:
        if len(_said) > 100:
            _said.clear()
        _said[line] = now
        print(line, file=sys.stderr, flush=True)


def tolerate(error: Exception) -> None:
    """Say what an own policy did wrong, and go on; raises `error` if it is nobody's but the proxy's."""
    fault = blamed(error)
    if fault is None:
        raise error
    say(fault)


def location_of(fault: Exception) -> tuple[str, int]:
    """The file and line that raised a fault."""
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    return frame.filename, frame.lineno or 0
