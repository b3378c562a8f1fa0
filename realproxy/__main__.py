"""``python -m realproxy FILE.toml``: one proxy as a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
from typing import Any, Self

from policies.problems import BadInput
from realproxy.proxy import Proxy


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or the end of standard input.

    Writes one JSON line once it serves: ``{"url": …, "port": …, "pid": …}``, and the ``admin`` URL
    if there is such a port.

    Returns
    -------
    int
        0 after a clean stop, 2 for bad input, which is said in one line.
    """
    parser = argparse.ArgumentParser(prog="python -m realproxy", description="Serve what FILE describes.")
    parser.add_argument("file", metavar="FILE.toml")
    parser.add_argument("--seed", type=int, help="take the same chances as another run with this seed")
    parser.add_argument("--ready-fd", type=int, default=1, help="descriptor for the ready line (1)")
    parser.add_argument(
        "--until-eof", action="store_true", help="stop when standard input ends, as when the parent dies"
    )
    options = parser.parse_args(arguments)
    with Ending(until_eof=options.until_eof) as ending:  # before anybody can know our process id
        try:
            proxy = Proxy.load(options.file, seed=options.seed)
            proxy.start()
        except BadInput as problem:
            print(problem, file=sys.stderr)
            return 2
        try:
            ready = {"url": proxy.url, "port": proxy.port, "pid": os.getpid()}
            if proxy.admin_url:
                ready["admin"] = proxy.admin_url
            os.write(options.ready_fd, (json.dumps(ready) + "\n").encode())
            ending.wait()
        finally:
            proxy.stop()
    return 0


class Ending:
    """The wish that this process ends: SIGTERM, SIGINT or the end of standard input.

    A second signal kills. Handlers are put back at the end of the context.

    Parameters
    ----------
    until_eof : bool
        Whether the end of standard input counts.
    """

    def __init__(self, *, until_eof: bool = False) -> None:
        self._until_eof = until_eof
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._wished = os.eventfd(0, os.EFD_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._at_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._wished)

    def _at_signal(self, number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.eventfd_write(self._wished, 1)

    def wait(self) -> None:
        """Return when the end is wished."""
        poller = select.poll()
        poller.register(self._wished, select.POLLIN)
        if self._until_eof:
            poller.register(0, select.POLLIN)
        while not any(fd == self._wished or not os.read(fd, 4096) for fd, _ in poller.poll()):
            pass


if __name__ == "__main__":
    sys.exit(main())
