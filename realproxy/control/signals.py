"""Signals that control a serving process: stop, reload the settings, reopen the log."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from policies.bad_input import BadInput
from policies.settings import load_settings
from realproxy.control.proxy import Proxy
from realproxy.runtime.system import check_system

STOP = (signal.SIGTERM, signal.SIGINT)
"""Finish the requests, and stop."""


class Signals:
    """Receives signals, inside its context. The second signal to stop kills the process.

    SIGHUP asks to read the settings again; it and SIGUSR1 to reopen the log under its name. Use it in the
    main thread. At the end of the context the former handlers are restored. With `until_eof`,
    the end of standard input, as when the parent dies, also means to stop.
    """

    def __init__(self, *, until_eof: bool = False) -> None:
        self._until_eof = until_eof
        self._former: dict[int, Any] = {}
        self._received: deque[int] = deque()

    def __enter__(self) -> Self:
        check_system()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        for number in (*STOP, signal.SIGHUP, signal.SIGUSR1):
            self._former[number] = signal.signal(number, self._at_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        os.close(self._wake)

    def _at_signal(self, number: int, _: object) -> None:
        if number in STOP:
            signal.signal(number, signal.SIG_DFL)
        self._received.append(number)
        os.eventfd_write(self._wake, 1)

    def until_stopped(self) -> Iterator[int]:
        """Wait for signals and yield their numbers; one of `STOP` ends the iteration."""
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
            while self._received:
                number = self._received.popleft()
                if number in STOP:
                    return
                yield number


def serve_until_stopped(proxy: Proxy, file: Path | str, signals: Signals) -> None:
    """Obey the signals to a proxy that serves the settings in `file`, until one to stop.

    If the file has an error, one line on standard error says so, and the former settings stay in force.
    """
    for number in signals.until_stopped():
        if number == signal.SIGHUP:
            try:
                proxy.reload(load_settings(file))
            except BadInput as problem:
                print(f"{problem} (the former settings stay)", file=sys.stderr, flush=True)
            else:
                for warning in proxy.warnings():
                    print(f"warning: {warning}", file=sys.stderr, flush=True)
        proxy.reopen_log()
