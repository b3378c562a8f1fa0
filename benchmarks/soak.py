"""A million requests of all kinds: descriptors, threads and memory of the proxy must not grow.

``python -m benchmarks.soak`` sends 10⁶ requests through one proxy: on kept and on new connections, cached and
passed through, refused, reset in the middle, and through tunnels. Now and then it reloads the configuration.
After each tenth of the requests it waits until the proxy is idle, and prints the proxy's descriptors, threads
and memory. Needs nginx and wrk.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.rig import load, origin, running

SETTINGS = """
admin = "127.0.0.1:0"
route = [{{ when = {{ path = "/kept/*" }}, to = "web", cache = {{ ttl = "1s" }} }}, {{ to = "web" }}]
service.web.upstreams = "127.0.0.1:{origin}"
forward = {{ private_targets = true, connect_ports = [{origin}] }}
cache = {{ capacity = "1MiB" }}
log = {{ file = "{log}" }}
limits = {{ upstream_idle = "1s", idle_timeout = "5s" }}
"""
CLOSING = 'wrk.headers["Connection"] = "close"\n'


class Held(NamedTuple):
    """Resources of a process."""

    requests: int
    descriptors: int
    threads: int
    memory: int
    """Private resident bytes."""


def held(pid: int, requests: int) -> Held:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    threads = int(status.partition("Threads:")[2].split()[0])
    anonymous = int(status.partition("RssAnon:")[2].split()[0]) * 1024
    return Held(requests, len(list(Path(f"/proc/{pid}/fd").iterdir())), threads, anonymous)


def cut_off(port: int, count: int) -> None:
    """Clients that reset the connection, before or in the middle of the response."""
    for number in range(count):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n" + (b"\r\n" if number % 2 else b""))
            if number % 4 == 1:
                sock.recv(1000)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def tunnels(port: int, upstream: int, count: int) -> None:
    """Clients that use a tunnel, clients that are refused, and clients that send nonsense."""
    for number in range(count):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            target = f"127.0.0.1:{upstream if number % 4 else 1}"
            sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            if b" 200 " in sock.recv(1000):
                sock.sendall(b"GET /1k HTTP/1.0\r\n\r\n")
                while sock.recv(65536):
                    pass
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"nonsense\r\n\r\n")
            while sock.recv(65536):
                pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"1k": 1024, "big": 10_000_000, **{f"kept/{number}": 1024 for number in range(50)}}
        with origin(folder / "origin", files) as upstream:
            file = folder / "proxy.toml"
            file.write_text(SETTINGS.format(origin=upstream, log=folder / "access.log"), encoding="utf-8")
            command = [sys.executable, "-m", "realproxy", str(file), "--until-eof"]
            with running(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                ready = json.loads(process.stdout.readline())
                soak(ready["port"], ready["pid"], upstream, folder, options.requests)


def soak(port: int, pid: int, upstream: int, folder: Path, target: int) -> None:
    scripts = {}
    for name, text in {"closing": CLOSING, "kept": kept_script()}.items():
        scripts[name] = folder / f"{name}.lua"
        scripts[name].write_text(text, encoding="utf-8")
    print(f"{'requests':>10}{'descriptors':>13}{'threads':>9}{'memory, MiB':>13}{'seconds':>9}", flush=True)
    start, requests, states = time.monotonic(), 0, []
    while requests < target:
        step = requests + target / 10
        while requests < step:
            requests += one_turn(port, upstream, scripts)
        os.kill(pid, signal.SIGHUP)
        for _ in range(100):  # idle connections are closed; with few requests, unneeded threads end
            cut_off(port, 1)
            time.sleep(0.25)
        state = held(pid, requests)
        states.append(state)
        took = time.monotonic() - start
        print(
            f"{requests:10,}{state.descriptors:13}{state.threads:9}{state.memory / 2**20:13.1f}{took:9.0f}",
            flush=True,
        )
    first, last = states[1], states[-1]
    print(
        f"from {first.requests:,} to {last.requests:,} requests: {last.descriptors - first.descriptors:+d} "
        f"descriptors, {last.threads - first.threads:+d} threads, "
        f"{(last.memory - first.memory) / 2**20:+.1f} MiB"
    )


def kept_script() -> str:
    return (
        "local n = 0\nrequest = function()\n  n = n + 1\n"
        '  return wrk.format("GET", "/kept/" .. (n % 50))\nend\n'
    )


def one_turn(port: int, upstream: int, scripts: dict[str, Path]) -> int:
    """Send some requests of every kind; returns their approximate number."""
    count = sum(
        load(port, path, connections, 2, script).rate * 2
        for path, connections, script in (
            ("/1k", 64, None),
            ("/kept/0", 64, scripts["kept"]),
            ("/1k", 16, scripts["closing"]),
        )
    )
    cut_off(port, 50)
    tunnels(port, upstream, 50)
    return int(count) + 150


if __name__ == "__main__":
    main()
