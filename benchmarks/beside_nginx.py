"""This proxy beside nginx, one worker each, in the same run on the same machine.

    python benchmarks/beside_nginx.py [--seconds 3] [--rounds 3] [--connections 16,128]

An nginx is the origin (a file of 1 KiB). wrk asks it through nginx and through this proxy, in
turns, with pass-through and with cached hits. Printed are the medians over the rounds, and the
medians of each round's ratio: on a busy machine the ratio is what counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BODY = b"x" * 1024
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; root {folder}/files;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
ORIGIN = "server {{ listen 127.0.0.1:{origin} backlog=1024; }}"
PEER = """
  proxy_cache_path {folder}/cache keys_zone=hits:10m;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 512; }}
  server {{
    listen 127.0.0.1:{peer} backlog=1024; proxy_http_version 1.1; proxy_set_header Connection "";
    location / {{ proxy_pass http://origin; }}
    location /cached/ {{ proxy_pass http://origin; proxy_cache hits; proxy_cache_valid 200 1h; }}
  }}
"""
OURS = """
listen = "127.0.0.1:0"
[[route]]
when = {{ path = "/cached/*" }}
to = "origin"
cache = {{ ttl = "1h" }}
[[route]]
to = "origin"
[service.origin]
upstreams = ["127.0.0.1:{origin}"]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_for(port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, cwd=ROOT, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def nginx(folder: Path, servers: str) -> Iterator[None]:
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, user=user, servers=servers), encoding="utf-8")
    with running(["nginx", "-e", str(folder / "error.log"), "-c", str(file)]):
        yield


@contextlib.contextmanager
def contestants(folder: Path) -> Iterator[dict[str, int]]:
    """The ports of nginx and of this proxy, in front of the same origin."""
    origin, peer = free_port(), free_port()
    files = folder / "origin" / "files"
    with contextlib.ExitStack() as stack:
        stack.enter_context(nginx(folder / "origin", ORIGIN.format(origin=origin)))
        (files / "cached").mkdir(parents=True)
        for place in (files, files / "cached"):
            (place / "page").write_bytes(BODY)
        stack.enter_context(
            nginx(folder / "peer", PEER.format(folder=folder / "peer", origin=origin, peer=peer))
        )
        settings = folder / "proxy.toml"
        settings.write_text(OURS.format(origin=origin), encoding="utf-8")
        command = [sys.executable, "-m", "realproxy", str(settings), "--until-eof"]
        ours = stack.enter_context(running(command, stdout=subprocess.PIPE))
        assert ours.stdout is not None
        ready = json.loads(ours.stdout.readline())
        for port in (origin, peer):
            wait_for(port)
        yield {"nginx": peer, "proxytwin": ready["port"]}


def measure(port: int, path: str, connections: int, seconds: float) -> tuple[float, float]:
    """Requests a second and the 99th percentile in milliseconds, as wrk sees them."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{url} fails under load:\n{text}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    assert rate is not None
    assert tail is not None
    return float(rate[1]), float(tail[1]) * MILLISECONDS[tail[2]]


def compare(ports: dict[str, int], path: str, connections: int, rounds: int, seconds: float) -> list[float]:
    """Medians: our rate, nginx's, their ratio; our 99th percentile, nginx's, their ratio."""
    rows = []
    for number in range(rounds):
        order = list(ports) if number % 2 == 0 else list(reversed(ports))
        found = {name: measure(ports[name], path, connections, seconds) for name in order}
        (rate, tail), (peer_rate, peer_tail) = found["proxytwin"], found["nginx"]
        rows.append((rate, peer_rate, rate / peer_rate, tail, peer_tail, tail / peer_tail))
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each cell")
    parser.add_argument("--connections", default="16,128", help="numbers, separated by commas")
    options = parser.parse_args()
    missing = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        print(f"needs {' and '.join(missing)}: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    print(f"{'':14}{'':>6}{'requests/s':^32}{'p99, ms':^28}")
    print(
        f"{'':14}{'conns':>6}{'proxytwin':>12}{'nginx':>10}{'ratio':>8}  "
        f"{'proxytwin':>12}{'nginx':>8}{'ratio':>8}"
    )
    with tempfile.TemporaryDirectory(prefix="beside_nginx") as folder, contestants(Path(folder)) as ports:
        for name, path in (("pass-through", "/page"), ("cached hits", "/cached/page")):
            for port in ports.values():
                measure(port, path, 16, 1)  # warm up, fill the caches
            for connections in map(int, options.connections.split(",")):
                found = compare(ports, path, connections, options.rounds, options.seconds)
                rate, peer_rate, ratio, tail, peer_tail, tail_ratio = found
                print(
                    f"{name:14}{connections:6}{rate:12.0f}{peer_rate:10.0f}{ratio:8.2f}  "
                    f"{tail:12.2f}{peer_tail:8.2f}{tail_ratio:8.2f}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
