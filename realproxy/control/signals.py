"""What signals ask of a process that serves: to end, to read its file again, to reopen its log."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Self

from policies.bad_input import BadInput
from policies.settings import load_settings
from realproxy.control.proxy import Proxy


class Command(Enum):
    """What was asked for."""

    END = "finish what is under way, and end"
    RELOAD = "read the file again, and serve by it"
    REOPEN = "write the log to the file that has its name now"


WISHES = {
    signal.SIGTERM: Command.END,
    signal.SIGINT: Command.END,
    signal.SIGHUP: Command.RELOAD,
    signal.SIGUSR1: Command.REOPEN,
}


class Signals:
    """Takes signals while a process serves. A second one that asks to end kills.

    Handlers are put back at the end of the context.

    Parameters
    ----------
    until_eof : bool
        Whether the end of standard input asks to end, too, as when the parent dies.
    """

    def __init__(self, *, until_eof: bool = False) -> None:
        self._until_eof = until_eof
        self._before: dict[int, Any] = {}
        self._wishes: deque[Command] = deque()

    def __enter__(self) -> Self:
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        for number in WISHES:
            self._before[number] = signal.signal(number, self._at_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._wake)

    def _at_signal(self, number: int, _: object) -> None:
        wish = WISHES[signal.Signals(number)]
        if wish is Command.END:
            signal.signal(number, signal.SIG_DFL)
        self._wishes.append(wish)
        os.eventfd_write(self._wake, 1)

    def wishes(self) -> Iterator[Command]:
        """What is asked for, as it comes; stops at the wish to end."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        if self._until_eof:
            poller.register(0, select.POLLIN)
        while True:
            for fd, _ in poller.poll():
                if fd == self._wake:
                    os.eventfd_read(self._wake)
                elif not os.read(fd, 4096):
                    return
            while self._wishes:
                wish = self._wishes.popleft()
                if wish is Command.END:
                    return
                yield wish


def serve_until_stopped(proxy: Proxy, file: Path | str, signals: Signals) -> None:
    """Obey the signals to a proxy that serves what `file` describes, until one asks to end.

    A file that is wrong is refused in one line on standard error; the former settings stay.
    """
    for wish in signals.wishes():
        if wish is Command.RELOAD:
            try:
                proxy.reload(load_settings(file))
            except BadInput as problem:
                print(f"{problem} (the former settings stay)", file=sys.stderr, flush=True)
        proxy.reopen_log()
