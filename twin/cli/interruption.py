"""Ctrl-C, the wish that the process ends, and the end of its terminal, in the three parts of its life.

While the commands are loaded nothing was begun yet, and the process ends at once. While one runs,
`KeyboardInterrupt` is raised. When it has ended, only the interpreter has to: it dismisses processes,
which takes a moment, and is not interrupted unless somebody insists.

It loads nothing but what the interpreter has loaded anyway, so that it is there early.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_BEFORE_IT_COMES_AGAIN = 0.01

arrived: list[int] = []
"""Numbers of the signals that have come while the command ran."""


def hear_at_start() -> None:
    """From now on an interruption ends the process at once; none does once the interpreter falls apart."""
    atexit.register(_hear_no_more)
    for number in INTERRUPTIONS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wishes
            signal.signal(number, _leave)


def hear_in_command() -> None:
    """From now on an interruption is raised."""
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, _interrupt)
    report = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        """Where nothing can be raised, as in a finalizer, Python reports an exception and goes on."""
        _come_again() if lost.exc_type is KeyboardInterrupt else report(lost)

    sys.unraisablehook = hook


def hear_at_end() -> None:
    """From now on only a second interruption does anything."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, _wait_for_another)


def say_interrupted() -> int:
    """Say it in one line; returns the exit code."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"{_cursor()}proxytwin: interrupted", file=sys.stderr, flush=True)
    return 130


def _cursor() -> str:
    """What shows a terminal's cursor, which progress bars hide and might have had no time to show."""
    knows = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return "\x1b[?25h" if knows else ""


def _leave(_number: int, _frame: object) -> None:
    """End at once: an exception might be lost amid an import."""
    os._exit(say_interrupted())


def _interrupt(number: int, _frame: object) -> None:
    arrived.append(number)
    raise KeyboardInterrupt


def _come_again() -> None:
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS_BEFORE_IT_COMES_AGAIN)


def _hear_no_more() -> None:
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)


def _wait_for_another(_number: int, _frame: object) -> None:
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is _wait_for_another:
            signal.signal(number, _leave)
