"""Compare this proxy with others, one worker each, in the same run on the same machine.

    python -m benchmarks.beside_peers [--seconds 3] [--rounds 3] [--connections 16,128] [--only forward]

nginx is the origin. wrk sends requests through this proxy and through a peer in turn, each with its access
log on. The table shows medians over the rounds, and the median of the rounds' ratios: on a busy machine only
the ratio is meaningful. Parts:

- ``reverse``: bodies of 1 KiB, passed through and as cached hits, with nginx;
- ``large``: bodies of 1 MiB and 1 GiB, with nginx;
- ``forward``: with tinyproxy, proxy.py and mitmproxy;
- ``workers``: two worker processes of this proxy, compared with one.

A peer that is not on PATH is skipped with a message.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.rig import (
    ABSOLUTE_FORM,
    Load,
    free_port,
    in_turns,
    load,
    nginx,
    origin,
    proxytwin,
    row,
    running,
    wait_for,
)

FILES = {"page": 1024, "cached/page": 1024, "large": 2**20, "huge": 2**30}
PEER = """
  proxy_cache_path {folder}/cache keys_zone=hits:10m;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 512; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024; proxy_http_version 1.1; proxy_set_header Connection "";
    location / {{ proxy_pass http://origin; proxy_max_temp_file_size 0; }}
    location /cached/ {{ proxy_pass http://origin; proxy_cache hits; proxy_cache_valid 200 1h; }}
  }}
"""
OURS = """
listen = "127.0.0.1:0"
workers = {workers}
log = {{ file = "{folder}/ours{workers}.log", format = "combined" }}
[forward]
private_targets = true
[[route]]
when = {{ path = "/cached/*" }}
to = "origin"
cache = {{ ttl = "1h" }}
[[route]]
to = "origin"
[service.origin]
upstreams = ["127.0.0.1:{origin}"]
"""
TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 1024
LogFile "{folder}/tinyproxy.log"
LogLevel Connect
"""


class Bench:
    """Measures this proxy and its peers in front of one origin."""

    def __init__(self, folder: Path, origin_port: int, options: argparse.Namespace) -> None:
        self.folder, self.origin, self.rounds, self.seconds = (
            folder,
            origin_port,
            options.rounds,
            options.seconds,
        )
        self.connections = [int(number) for number in options.connections.split(",")]

    @contextlib.contextmanager
    def ours(self, workers: int = 1) -> Iterator[int]:
        settings = OURS.format(folder=self.folder, origin=self.origin, workers=workers)
        with proxytwin(self.folder / f"ours{workers}.toml", settings) as port:
            yield port

    @contextlib.contextmanager
    def nginx(self) -> Iterator[int]:
        port, folder = free_port(), self.folder / f"nginx{time.monotonic_ns()}"
        with nginx(folder, PEER.format(folder=folder, origin=self.origin, port=port), log=True):
            wait_for(port)
            yield port

    def measures(self, ports: dict[str, int], path: str, script: Path | None = None) -> Callable[[int], dict]:
        def at(connections: int) -> dict[str, Callable[[], Load]]:
            return {
                name: partial(load, port, path, connections, self.seconds, script)
                for name, port in ports.items()
            }

        for port in ports.values():
            load(port, path, 16, 1, script)  # warm up, fill the caches
        return at

    def table(self, title: str, ports: dict[str, int], path: str, script: Path | None = None) -> None:
        """Print a row for each number of connections: the first of `ports` compared with the others."""
        first, *others = ports
        at = self.measures(ports, path, script)
        for connections in self.connections:
            found = in_turns(at(connections), self.rounds)
            for peer in others:
                print(row(title, connections, peer, found[first], found[peer]), flush=True)


def heading(text: str) -> None:
    print(f"\n{text}\n{'':19}{'requests/s':^30}{'p99, ms':^30}")
    names = f"{'ours':>10}{'peer':>10}{'ratio':>8}"
    print(f"{'':13}{'conns':>6}  {names}  {names}  peer")


def reverse(bench: Bench) -> None:
    heading("Reverse, bodies of 1 KiB, access log on")
    with bench.ours() as ours, bench.nginx() as peer:
        ports = {"proxytwin": ours, "nginx": peer}
        bench.table("pass-through", ports, "/page")
        bench.table("cached hits", ports, "/cached/page")


def large(bench: Bench) -> None:
    heading("Reverse, large bodies")
    with bench.ours() as ours, bench.nginx() as peer:
        ports = {"proxytwin": ours, "nginx": peer}
        bench.table("1 MiB", ports, "/large")
        seconds: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(bench.rounds):
            for name, port in ports.items():
                seconds[name].append(download(f"http://127.0.0.1:{port}/huge"))
        ratios = sorted(theirs / mine for mine, theirs in zip(*seconds.values(), strict=True))
        best = {name: min(taken) for name, taken in seconds.items()}
        print(
            f"{'1 GiB':13}{1:6}  {1024 / best['proxytwin']:10.0f}{1024 / best['nginx']:10.0f}"
            f"{ratios[len(ratios) // 2]:8.2f}  MiB/s, one download at a time"
        )


def download(url: str) -> float:
    """Seconds that curl takes."""
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{time_total} %{size_download}", url]
    seconds, size = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(size) == FILES["huge"]
    return float(seconds)


@contextlib.contextmanager
def forward_peer(name: str, folder: Path) -> Iterator[int]:
    port = free_port()
    if name == "tinyproxy":
        file = folder / "tinyproxy.conf"
        file.write_text(TINYPROXY.format(port=port, folder=folder), encoding="utf-8")
        command = ["tinyproxy", "-d", "-c", str(file)]
    elif name == "proxy.py":
        log = str(folder / "proxy.py.log")
        command = ["proxy", "--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1"]
        command += ["--num-acceptors", "1", "--log-file", log]
    else:
        command = ["mitmdump", "--listen-host", "127.0.0.1", "--listen-port", str(port)]
        command += ["--set", f"confdir={folder}/mitmproxy", "--set", "stream_large_bodies=1m"]
    with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        wait_for(port)
        yield port


def forward(bench: Bench) -> None:
    heading("Forward, absolute-form, bodies of 1 KiB, access log on")
    script = bench.folder / "forward.lua"
    script.write_text(ABSOLUTE_FORM.format(url=f"http://127.0.0.1:{bench.origin}/page"), encoding="utf-8")
    for name, command in (("tinyproxy", "tinyproxy"), ("proxy.py", "proxy"), ("mitmproxy", "mitmdump")):
        if shutil.which(command) is None:
            print(f"{'':13}{name} is skipped: {command} is not on PATH")
            continue
        with bench.ours() as ours, forward_peer(name, bench.folder) as peer:
            try:
                bench.table("forward", {"proxytwin": ours, name: peer}, "/page", script)
            except RuntimeError as failure:
                print(f"{'':13}{name}: {str(failure).splitlines()[0]}")


def workers(bench: Bench) -> None:
    heading("Two workers and one; with three cores, the load generator does not share a core")
    with bench.ours(2) as two, bench.ours(1) as one:
        ports = {"two workers": two, "one worker": one}
        bench.table("pass-through", ports, "/page")
        bench.table("cached hits", ports, "/cached/page")
        share = load(two, "/cached/page", 128, bench.seconds).generator
        print(f"{'':13}wrk used {share:.2f} of a core with two workers")


PARTS: dict[str, Callable[[Bench], None]] = {
    "reverse": reverse, "large": large, "forward": forward, "workers": workers,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each cell")
    parser.add_argument("--connections", default="16,128", help="numbers, separated by commas")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part, instead of all")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all child processes are ended
    missing = [name for name in ("nginx", "wrk", "curl") if shutil.which(name) is None]
    if missing:
        print(f"needs {' and '.join(missing)}: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="beside_peers") as text:
        folder = Path(text)
        with origin(folder / "origin", FILES) as port:
            bench = Bench(folder, port, options)
            for part in options.only or PARTS:
                PARTS[part](bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
