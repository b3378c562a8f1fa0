"""SIGINT, SIGTERM and SIGHUP in the three phases of the process.

1. While the commands are loaded, a signal ends the process at once.
2. While a command runs, a signal raises `KeyboardInterrupt`.
3. After the command, the interpreter ends its child processes, which takes a moment. The first signal is
   ignored, the second ends the process.

This module imports only modules that the interpreter has loaded already, so that it is ready early.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none, and no SIGALRM
INTERRUPTIONS = [signal.SIGINT, signal.SIGTERM, *([_HANGUP] if _HANGUP is not None else [])]
_SECONDS_BEFORE_IT_COMES_AGAIN = 0.01

arrived: list[int] = []
"""Numbers of the signals that arrived while the command ran."""


def hear_at_start() -> None:
    """Phase 1: a signal ends the process at once. During the interpreter's exit, signals are ignored."""
    atexit.register(_hear_no_more)
    for number in INTERRUPTIONS:
        if number != _HANGUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(number, _leave)


def hear_in_command() -> None:
    """Phase 2: a signal raises KeyboardInterrupt."""
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, _interrupt)
    report = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        """In a finalizer Python only reports an exception; so raise a lost KeyboardInterrupt again."""
        _come_again() if lost.exc_type is KeyboardInterrupt else report(lost)

    sys.unraisablehook = hook


def hear_at_end() -> None:
    """Phase 3: the first signal is ignored, the second ends the process."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, _wait_for_another)


def say_interrupted() -> int:
    """Print one line; returns the exit code."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"{_cursor()}proxytwin: interrupted", file=sys.stderr, flush=True)
    return 130


def _cursor() -> str:
    """The escape code that shows the cursor: progress bars hide it, and may not have shown it again."""
    knows = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return "\x1b[?25h" if knows else ""


def _leave(_number: int, _frame: object) -> None:
    """End at once, because an exception could be lost during an import."""
    os._exit(say_interrupted())


def _interrupt(number: int, _frame: object) -> None:
    arrived.append(number)
    raise KeyboardInterrupt


def _come_again() -> None:
    if not hasattr(signal, "setitimer"):
        import _thread
        import threading

        threading.Timer(_SECONDS_BEFORE_IT_COMES_AGAIN, _thread.interrupt_main).start()
        return
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS_BEFORE_IT_COMES_AGAIN)


def _hear_no_more() -> None:
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)


def _wait_for_another(_number: int, _frame: object) -> None:
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is _wait_for_another:
            signal.signal(number, _leave)
