"""The p99 of one good client, alone and among many idle and slow connections.

``python -m benchmarks.crowds`` measures a client that sends requests one after the other on one connection:
alone, then next to 10,000 idle keep-alive connections and 2,000 clients that send one byte of a head per
second, and then alone again. The crowd runs in a separate process. Needs nginx as the origin, and 20,000
descriptors.
"""

from __future__ import annotations

import argparse
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rig import origin, proxytwin, running

HEAD = b"GET /1k HTTP/1.1\r\nHost: crowd.test\r\n"
SETTINGS = """
route = [{{ to = "web" }}]
service.web.upstreams = "127.0.0.1:{origin}"
limits = {{ connections = 15_000, idle_timeout = "10m" }}
log = {{ file = "{log}" }}
"""


def crowd(port: int, idle: int, slow: int) -> None:
    """Open `idle` connections with one request each, and `slow` ones whose heads never end.

    Ends at the end of standard input.
    """
    quiet = [_asked_once(port) for _ in range(idle)]
    selector = selectors.DefaultSelector()
    beginners: dict[socket.socket, int] = {}

    def begin() -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        beginners[sock] = 0

    for _ in range(slow):
        begin()
    print(len(quiet) + len(beginners), flush=True)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        until = time.monotonic() + 1.0
        for sock, sent in list(beginners.items()):
            beginners[sock] = sent + 1
            sock.send(HEAD[sent % len(HEAD)].to_bytes())
        while (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fileobj is sys.stdin:
                    return
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                selector.unregister(sock)  # the proxy sent 408: open a new one
                del beginners[sock]
                sock.close()
                begin()


def _asked_once(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(HEAD + b"\r\n")
    if not sock.recv(65536).startswith(b"HTTP/1.1 200"):
        raise SystemExit("an idle client was not served")
    return sock


def percentiles(port: int, seconds: float, pause: float) -> tuple[float, float, int]:
    """Median and p99 in ms of a client that pauses between requests, and the number of its requests."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter()
            sock.sendall(HEAD + b"\r\n")
            length = 0
            while length < 1024:
                data = sock.recv(65536)
                if not data:
                    raise SystemExit("the good client was cut off")
                length += len(data)
            times.append(1e3 * (time.perf_counter() - start))
            time.sleep(pause)
    return statistics.median(times), statistics.quantiles(times, n=100)[98], len(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crowd", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.crowd is not None:
        crowd(options.crowd, options.idle, options.slow)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with origin(folder / "origin", {"1k": 1024}) as upstream:
            settings = SETTINGS.format(origin=upstream, log=folder / "access.log")
            with proxytwin(folder / "proxy.toml", settings) as port:
                report(port, options)


def report(port: int, options: argparse.Namespace) -> None:
    def measure(title: str) -> float:
        median, p99, count = percentiles(port, options.seconds, 0.002)
        print(f"{title:44}{median:9.2f}{p99:9.2f}{count:10}", flush=True)
        return p99

    print(f"{'a client that pauses 2 ms between requests':44}{'p50 ms':>9}{'p99 ms':>9}{'requests':>10}")
    ratios = [one_round(port, options, measure) for _ in range(options.rounds)]
    print(f"p99 beside the crowd / p99 alone: {statistics.median(ratios):.2f}, the median of {len(ratios)}")


def one_round(port: int, options: argparse.Namespace, measure: Callable[[str], float]) -> float:
    before = measure("alone")
    command = [sys.executable, "-m", "benchmarks.crowds", "--crowd", str(port)]
    command += ["--idle", str(options.idle), "--slow", str(options.slow)]
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        count = int(process.stdout.readline())
        beside = measure(f"beside {count:,} idle and slow connections")
    time.sleep(1.0)
    return beside / statistics.mean((before, measure("alone again")))


if __name__ == "__main__":
    main()
