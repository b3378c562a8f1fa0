"""``python -m realproxy FILE.toml``: a proxy as a process."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from policies.bad_input import BadInput
from realproxy.control.fleet import COMMAND
from realproxy.control.instance import gc_freeze
from realproxy.control.proxy import Proxy
from realproxy.control.signals import Signals, serve_until_stopped


def main(arguments: list[str] | None = None, worker_command: Sequence[str] = COMMAND) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the file again, SIGUSR1 reopens the log.

    When the proxy serves, it writes one line of JSON: ``{"url": …, "port": …, "pid": …}``, with ``admin``,
    the URL of the admin port, and ``forward``, that of the forward side's own listener, if there is one.

    Returns 0 after a clean stop; 2 for bad input, with one line on standard error.
    """
    parser = argparse.ArgumentParser(prog="python -m realproxy", description="Serve what FILE describes.")
    parser.add_argument("file", metavar="FILE.toml")
    parser.add_argument("--seed", type=int, help="make the same random choices as another run with this seed")
    parser.add_argument("--ready-fd", type=int, default=1, help="descriptor for the ready line (1)")
    parser.add_argument(
        "--until-eof", action="store_true", help="stop when standard input ends, as when the parent dies"
    )
    options = parser.parse_args(arguments)
    try:
        with Signals(
            until_eof=options.until_eof
        ) as signals:  # before another process can know this process id
            proxy = Proxy.load(options.file, seed=options.seed, worker_command=worker_command)
            proxy.start()
            try:
                ready = {"url": proxy.url, "port": proxy.port, "pid": os.getpid()}
                if proxy.forward_url not in ("", proxy.url):
                    ready["forward"] = proxy.forward_url
                if proxy.admin_url:
                    ready["admin"] = proxy.admin_url
                os.write(options.ready_fd, (json.dumps(ready) + "\n").encode())
                gc_freeze()
                serve_until_stopped(proxy, options.file, signals)
            finally:
                proxy.stop()
    except BadInput as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
