"""Shared by the benchmarks: start nginx and the proxy on free ports, run wrk, and read its results."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from loadtests.free_port import free_port

ROOT = Path(__file__).resolve().parents[1]
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log {log}; keepalive_requests 1000000000; root {folder}/files;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
ABSOLUTE_FORM = 'wrk.method = "GET"; request = function() return wrk.format("GET", "{url}") end\n'


class Load(NamedTuple):
    """The result of one run of wrk."""

    rate: float
    """Requests per second."""
    p99_ms: float
    generator: float
    """Cores that wrk used."""


def wait_for(port: int, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


@contextlib.contextmanager
def running(command: list[str], cwd: Path = ROOT, **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, cwd=cwd, **options)  # type: ignore[call-overload]
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
def nginx(folder: Path, servers: str, *, log: bool) -> Iterator[None]:
    folder.mkdir()
    text = NGINX.format(
        folder=folder,
        user="user root;" if os.geteuid() == 0 else "",
        servers=servers,
        log=f"{folder}/access.log combined" if log else "off",
    )
    file = folder / "nginx.conf"
    file.write_text(text, encoding="utf-8")
    with running(["nginx", "-e", str(folder / "error.log"), "-c", str(file)]):
        yield


@contextlib.contextmanager
def origin(folder: Path, files: dict[str, int]) -> Iterator[int]:
    """Start nginx with files, sizes in bytes by path; yields its port."""
    port = free_port()
    with nginx(folder, f"server {{ listen 127.0.0.1:{port} backlog=1024; }}", log=False):
        for path, size in files.items():
            file = folder / "files" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as writer:
                block = b"x" * min(size, 2**20)
                for _ in range(size // len(block)):
                    writer.write(block)
        wait_for(port)
        yield port


class Ready(NamedTuple):
    """The line that a proxy prints when it is ready."""

    port: int
    pid: int
    admin: str = ""
    """URL of its admin port; empty without one."""


@contextlib.contextmanager
def started(file: Path, settings: str, tree: Path = ROOT) -> Iterator[Ready]:
    """Start a proxy from the sources in `tree`."""
    file.write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "realproxy", str(file), "--until-eof"]
    with running(command, tree, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the proxy of {tree} does not start")
        said = json.loads(line)
        yield Ready(said["port"], said["pid"], said.get("admin", ""))


@contextlib.contextmanager
def proxytwin(file: Path, settings: str) -> Iterator[int]:
    """Start a proxy from this tree; yields its port."""
    with started(file, settings) as ready:
        yield ready.port


def load(
    port: int,
    path: str,
    connections: int,
    seconds: float,
    script: Path | None = None,
    arguments: Sequence[str] = (),
) -> Load:
    """Run wrk on `path`, or with a `script` and its arguments."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "--timeout", "10s"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    found = subprocess.run(
        [*command, *(["-s", str(script)] if script else []), url, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    text = found.stdout
    # Read errors are allowed: tinyproxy closes each connection after its response without "close".
    if "Non-2xx" in text or re.search(r"Socket errors: (?!connect 0, read \d+, write 0, timeout 0)", text):
        raise RuntimeError(f"{url} fails under load:\n{text}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text)
    assert rate is not None
    assert tail is not None
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Load(float(rate[1]), float(tail[1]) * MILLISECONDS[tail[2]], cpu / took)


def in_turns(measures: dict[str, Callable[[], Load]], rounds: int) -> dict[str, list[Load]]:
    """Measure every contestant `rounds` times in turn; each round reverses the order."""
    found: dict[str, list[Load]] = {name: [] for name in measures}
    for number in range(rounds):
        for name in list(measures) if number % 2 == 0 else list(reversed(measures)):
            found[name].append(measures[name]())
    return found


def median_ratio(ours: list[Load], theirs: list[Load], what: str) -> float:
    """The median of the rounds' ratios; on a busy machine only ratios are meaningful."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(getattr(mine, what) / max(getattr(other, what), 1e-9) for mine, other in pairs)


def row(title: str, connections: int, peer: str, ours: list[Load], theirs: list[Load]) -> str:
    """One line of a table: rates, 99th percentiles, and their ratios."""
    cells = [
        f"{median(ours, what):10.{digits}f}{median(theirs, what):10.{digits}f}"
        f"{median_ratio(ours, theirs, what):8.2f}"
        for what, digits in (("rate", 0), ("p99_ms", 2))
    ]
    return f"{title:13}{connections:6}  {'  '.join(cells)}  {peer}"


def median(loads: list[Load], what: str) -> float:
    return statistics.median(getattr(one, what) for one in loads)
