"""Fixtures: run commands in this process or as child processes, with their input files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]

SCENARIO = """\
title = "Which balancer?"
seed = 3
duration = "1s"
[workload]
users = 6
think = "exponential(60ms)"
[backend.web]
replicas = 2
service_time = "erlang(10ms, 4)"
[proxy]
route = [{ to = "web" }]
service = { web = { upstreams = "web" } }
[compare]
"proxy.service.web.balance" = ["round_robin", "p2c"]
"""
PROXY = """\
listen = "127.0.0.1:0"
[[route]]
when = { path = "/secret/*" }
respond = 403
[[route]]
when = { path = "/api/*" }
to = "api"
[service.api]
upstreams = ["127.0.0.1:9"]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    return file


@pytest.fixture
def proxy_file(tmp_path: Path) -> Path:
    file = tmp_path / "proxy.toml"
    file.write_text(PROXY)
    return file


@contextmanager
def start(*arguments: object, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a command as a child process, with `folder` for its temporary files."""
    with subprocess.Popen(
        [sys.executable, "-m", "twin", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(name="started", scope="session")
def _started() -> Callable[..., Any]:
    return start


def _one_line_of(err: str) -> str:
    assert err.startswith("proxytwin: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.removeprefix("proxytwin: ").strip()


@pytest.fixture(name="one_line", scope="session")
def _one_line() -> Callable[[str], str]:
    """The one line of a mistake, without the name of the command; fails if there are more."""
    return _one_line_of
