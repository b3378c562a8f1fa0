"""Processes: what a command starts is gone when it ends, however it ends."""

from __future__ import annotations

import http.client
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

Started = Callable[..., Any]

SECONDS = 60.0
"""How long a command may take to start its children, to end, or to answer."""


def descendants_until(process: subprocess.Popen[str], word: str) -> list[psutil.Process]:
    """All processes that a command has started, once one of them has `word` in its command line."""
    deadline = time.monotonic() + SECONDS
    parent = psutil.Process(process.pid)
    while time.monotonic() < deadline and process.poll() is None:
        found = parent.children(recursive=True)
        try:
            if any(word in " ".join(child.cmdline()) for child in found):
                return found
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.02)
    raise AssertionError(f"the command started nothing with {word!r}: {process.communicate()}")


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended, whether or not anybody has asked for their exit codes."""

    def ended(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return [process for process in processes if not ended(process)]


@pytest.mark.parametrize(
    ("command", "number", "word"),
    [
        ("confirm", signal.SIGINT, "locust"),
        ("confirm", signal.SIGTERM, "proxy_child"),
        ("loadtest", signal.SIGINT, "proxy_child"),
        ("loadtest", signal.SIGHUP, "proxy_child"),
    ],
)
def test_an_interrupted_command_ends_soon_and_leaves_nothing(
    started: Started, scenario: Path, tmp_path: Path, command: str, number: signal.Signals, word: str
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    with started(command, scenario, "--set", "duration=60s", folder=folder) as process:
        found = descendants_until(process, word)
        process.send_signal(number)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1
    assert not running(found)
    assert not list(folder.iterdir())


def test_a_killed_command_leaves_no_process(started: Started, scenario: Path, tmp_path: Path) -> None:
    with started("loadtest", scenario, "--set", "duration=60s", folder=tmp_path) as process:
        found = descendants_until(process, "proxy_child")
        process.kill()
        process.wait(SECONDS)
    assert len(found) >= 3  # Locust, backends, proxy
    _, alive = psutil.wait_procs(found, timeout=SECONDS)
    assert not alive


def test_an_interrupted_simulation_ends_soon(started: Started, scenario: Path, tmp_path: Path) -> None:
    arguments = ["simulate", scenario, "--set", "duration=1h", "--replications", "8", "--jobs", "2"]
    with started(*arguments, folder=tmp_path) as process:
        found = descendants_until(process, "LokyProcess")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    _, alive = psutil.wait_procs(found, timeout=SECONDS)
    assert not alive


def answer(url: str, path: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], SECONDS)
    assert readable, "it said nothing"
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_serves_and_stops_when_told(
    started: Started, proxy_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started("serve", proxy_file, folder=tmp_path) as process:
        url = first_line(process).split()[-1]
        assert url.startswith("http://127.0.0.1:")
        assert answer(url, "/secret/key") == 403
        assert answer(url, "/api/orders") == 502  # nothing listens there
        assert answer(url, "/") == 404
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode in (0, 130)
    assert out == ""
    assert "Traceback" not in err
    with pytest.raises(ConnectionRefusedError):
        answer(url, "/")


def test_serve_warns_at_the_start_and_after_a_reload(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "never.toml"
    file.write_text('listen = "127.0.0.1:0"\nroute = [{ when = { method = "get" }, respond = 200 }]\n')
    with started("serve", file, folder=tmp_path) as process:
        url = first_line(process).split()[-1]
        assert answer(url, "/") == 404
        file.write_text('listen = "127.0.0.1:0"\nroute = [{ when = { path = "a" }, respond = 200 }]\n')
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        lines = [process.stderr.readline(), process.stderr.readline()]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert lines[0].startswith(f"proxytwin: warning: {file}: route.0.when.method: ")
    assert lines[1].startswith(f"warning: {file}: route.0.when.path: ")
