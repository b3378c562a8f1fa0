"""``python -m realproxy FILE.toml``: one proxy as a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys

from policies.problems import BadInput
from realproxy.proxy import Proxy


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or the end of standard input.

    Writes one JSON line once it serves: ``{"url": …, "port": …, "pid": …}``.

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
    try:
        proxy = Proxy.load(options.file, seed=options.seed)
        proxy.start()
    except BadInput as problem:
        print(problem, file=sys.stderr)
        return 2
    ready = {"url": proxy.url, "port": proxy.port, "pid": os.getpid()}
    os.write(options.ready_fd, (json.dumps(ready) + "\n").encode())
    try:
        wait_for_end(until_eof=options.until_eof)
    finally:
        proxy.stop()
    return 0


def wait_for_end(*, until_eof: bool) -> None:
    """Return after SIGTERM or SIGINT, or at the end of standard input; a second signal kills."""
    ended = os.eventfd(0)

    def at_signal(number: int, _: object) -> None:
        os.eventfd_write(ended, 1)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, at_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    poller = select.poll()
    poller.register(ended, select.POLLIN)
    if until_eof:
        poller.register(0, select.POLLIN)
    try:
        while not any(fd == ended or not os.read(0, 4096) for fd, _ in poller.poll()):
            pass
    finally:
        os.close(ended)
        if not any(signal.getsignal(number) is signal.SIG_DFL for number in before):
            for number, handler in before.items():
                signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
