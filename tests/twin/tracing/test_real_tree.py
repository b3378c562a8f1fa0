"""A tree of three tiers, made by real processes with mutual TLS, as `proxytwin trace` shows it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from twin.certificates import write_certificates
from twin.tracing.spans import read_logs
from twin.tracing.tree import requests_in

CALLS = {"front": ("cart", "store"), "cart": ("store",), "store": ()}
ANYWHERE = "127.0.0.1:0"


class Tier(NamedTuple):
    """An application, and its sidecar's ready line and log."""

    app: ThreadingHTTPServer
    ready: dict[str, Any]
    log: Path


def application(calls: tuple[str, ...], egress: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    """A program that asks other services through its sidecar, and passes on the traceparent it got."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status = 500 if self.path == "/broken" and not calls else 200
            for name in calls:
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": egress()}))
                asked = urllib.request.Request(f"http://{name}{self.path}")
                asked.add_header("traceparent", self.headers["traceparent"])
                try:
                    opener.open(asked, timeout=30).read()
                except urllib.error.HTTPError as error:
                    status = error.code
                    error.close()
            self.wfile.write(f"HTTP/1.1 {status} Done\r\nContent-Length: 2\r\n\r\nok".encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def sidecar(file: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "realproxy", str(file), "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.communicate(timeout=60)


@contextmanager
def tier(name: str, folder: Path, others: dict[str, Tier]) -> Iterator[Tier]:
    ready: dict[str, Any] = {}
    app = ThreadingHTTPServer(("127.0.0.1", 0), application(CALLS[name], lambda: ready["forward"]))
    app.daemon_threads = False
    thread = threading.Thread(target=app.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    services = "".join(
        f"[service.{other}]\nupstreams = '127.0.0.1:{others[other].ready['port']}'\nmutual = true\n"
        for other in CALLS[name]
    )
    demand = str(name != "front").lower()  # the tests have no certificate
    forward = f"[forward]\nlisten = '{ANYWHERE}'\nservices = true\n" if services else ""
    file, log = folder / f"{name}.toml", folder / f"{name}.log"
    file.write_text(
        f"listen = '{ANYWHERE}'\nidentity = {{ folder = '{folder}', name = '{name}', demand = {demand} }}\n"
        f"route = [{{ to = 'app' }}]\nlog = {{ file = '{log}' }}\nlimits = {{ drain = '0s' }}\n{forward}"
        f"[service.app]\nupstreams = '127.0.0.1:{app.server_port}'\n{services}"
    )
    try:
        with sidecar(file) as line:
            ready.update(line)
            yield Tier(app, ready, log)
    finally:
        app.shutdown()
        app.server_close()
        thread.join()


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The logs of three sidecars after three requests, the second of which fails."""
    folder = tmp_path_factory.mktemp("shop")
    write_certificates(folder, list(CALLS), 1)
    tiers: dict[str, Tier] = {}
    with ExitStack() as stack:
        for name in reversed(CALLS):
            tiers[name] = stack.enter_context(tier(name, folder, tiers))
        port = tiers["front"].ready["port"]
        for path in ("/one", "/broken", "/two"):
            with subprocess.Popen(
                ["curl", "-s", "--max-time", "30", f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE
            ) as curl:
                curl.communicate(timeout=60)
    found = [tiers[name].log for name in CALLS]
    deadline = time.monotonic() + 30
    while any(log.read_text().count("\n") < 3 for log in found):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def trace(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twin", "trace", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "140"},
    )  # fmt: skip


@pytest.mark.needs("curl")
def test_each_request_is_one_tree_of_all_its_proxies(logs: list[Path]) -> None:
    requests = requests_in(read_logs(logs).spans)
    assert len(requests) == 3
    for request in requests:
        tree = [(node.depth, node.span.who) for node in request.nodes]
        assert tree == [
            (0, "front → app"), (1, "front → cart"), (2, "cart ← front"), (3, "cart → store"),
            (4, "store ← cart"), (1, "front → store"), (2, "store ← front"),
        ]  # fmt: skip
        assert all(child.span.parent == node.span.span for node in request.nodes for child in node.children)
        assert not [note for note in request.notes if "clocks" not in note]  # this machine may be busy


@pytest.mark.needs("curl")
def test_the_command_draws_it_in_the_terminal_and_as_a_picture(logs: list[Path], tmp_path: Path) -> None:
    broken = next(r for r in requests_in(read_logs(logs).spans) if r.first.what == "GET /broken")
    shown = trace(*logs, "--request", broken.trace[:12], "--plot", tmp_path / "tree.png")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0].startswith(f"trace {broken.trace}: 7 spans, ")
    assert lines[3].startswith("front → app  GET /broken") and "500" in lines[3]
    assert lines[6].startswith("│   └─ cart → store") and "█" in lines[6]
    assert lines[9].lstrip().startswith("└─ store ← front  GET /broken")
    assert (tmp_path / "tree.png").read_bytes().startswith(b"\x89PNG")
    listed = trace(*logs, "--slowest", 2)
    assert listed.returncode == 0
    assert len(re.findall(r"^[0-9a-f]{32} ", listed.stdout, re.MULTILINE)) == 2


@pytest.mark.needs("curl")
def test_without_a_log_in_the_middle_the_rest_is_shown_and_the_gap_is_told(logs: list[Path]) -> None:
    front, _, store = logs
    shown = trace(front, store)
    assert shown.returncode == 0
    assert "note: store: asked by a span that is in none of these logs" in shown.stdout
