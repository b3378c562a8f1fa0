"""A file of another kind: every command says what it is, and which command takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]

SCENARIO_COMMANDS = ("simulate", "confirm", "loadtest", "sweep")
PROXY_COMMANDS = ("serve", "check", "explain")
CONTENTS = {
    "trace.csv": b"time_s,object,size_bytes\n0,a,1\n",
    "access.log": b'1.1.1.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 10\n',
    "lesson.ipynb": b'{"cells": [], "nbformat": 4}',
    "out.json": b'{"variants": []}',
    "report.html": b"<!DOCTYPE html>",
    "figure.png": b"\x89PNG\r\n\x1a\n",
    "empty.toml": b"",
    "program": b"\x7fELF\0\0\0\0",
}
SAID = {
    "trace.csv": "is a trace, which curve takes",
    "access.log": "is a trace, which curve takes",
    "lesson.ipynb": "is a notebook",
    "out.json": "is a result of --json",
    "report.html": "is an HTML page",
    "figure.png": "is a picture",
    "empty.toml": "is empty",
    "program": "is a binary file",
    "proxy.toml": "is a proxy's file, which serve, check and explain take",
    "small.toml": "is a scenario, which simulate, confirm, loadtest and sweep take",
    ".": "cannot be read: Is a directory",
}


@pytest.fixture
def folder(tmp_path: Path, scenario: Path, proxy_file: Path) -> Path:
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def said_of(run: Run, one_line: OneLine, command: str, path: object) -> str:
    code, out, err = run(command, path, *(("GET", "/") if command == "explain" else ()))
    assert (code, out) == (2, "")
    return one_line(err)


@pytest.mark.parametrize("command", SCENARIO_COMMANDS)
@pytest.mark.parametrize("name", sorted(set(SAID) - {"small.toml"}))
def test_commands_on_scenarios(run: Run, one_line: OneLine, folder: Path, command: str, name: str) -> None:
    line = said_of(run, one_line, command, folder / name)
    assert line.startswith(f"{folder / name}: {SAID[name]}")
    assert line.endswith("; expected a scenario")


@pytest.mark.parametrize("command", PROXY_COMMANDS)
@pytest.mark.parametrize("name", sorted(set(SAID) - {"proxy.toml"}))
def test_commands_on_proxies(run: Run, one_line: OneLine, folder: Path, command: str, name: str) -> None:
    line = said_of(run, one_line, command, folder / name)
    assert line.startswith(f"{folder / name}: {SAID[name]}")
    assert line.endswith("; expected a proxy's file")


@pytest.mark.parametrize("name", sorted(set(SAID) - {"trace.csv", "access.log", "program"}))
def test_curve_and_a_scenarios_trace(run: Run, one_line: OneLine, folder: Path, name: str) -> None:
    line = said_of(run, one_line, "curve", folder / name)
    assert line.startswith(f"{folder / name}: {SAID[name]}")
    assert line.endswith("; expected a trace")
    tracing = (folder / "small.toml").read_text().replace("users = 6", f"trace = '{name}'")
    (folder / "tracing.toml").write_text(tracing)
    assert said_of(run, one_line, "simulate", folder / "tracing.toml") == line.replace(
        f"{folder}/.", f"{folder}"
    )


@pytest.mark.parametrize("command", [*PROXY_COMMANDS, "curve"])
def test_the_name_of_a_shipped_scenario(run: Run, one_line: OneLine, command: str) -> None:
    assert said_of(run, one_line, command, "slow-server").startswith(
        "slow-server: is a scenario, which simulate"
    )


def test_arguments_in_another_order(run: Run, one_line: OneLine, proxy_file: Path) -> None:
    code, _, err = run("explain", "GET", "/", proxy_file)
    assert code == 2
    assert one_line(err) == "GET: no such file; the proxy's file comes first, then method and URL"


def test_a_scenario_with_a_mistake_is_still_a_scenario(run: Run, one_line: OneLine, scenario: Path) -> None:
    scenario.write_text(scenario.read_text().replace("[workload]", "[workloads]"))
    assert "workloads: unknown key (did you mean 'workload'?)" in said_of(run, one_line, "simulate", scenario)
