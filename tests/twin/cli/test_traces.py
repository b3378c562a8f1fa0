"""Commands on a scenario that replays a trace: what is cut is said, and nothing at all is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]

HEAD = "time_s,object,size_bytes\n"
EPOCH = HEAD + "1732000000,a,10\n1732000001,b,10\n1732000002,a,10\n1732000003,a,10\n"
LONG = HEAD + "".join(f"{60 * number},o{number % 7},1000\n" for number in range(200))
TEXT = """\
title = "epoch"
duration = "10s"
warmup = "0s"
[workload]
trace = "trace.csv"
[backend.web]
service_time = "constant(1ms)"
[proxy]
route = [{ to = "web" }]
service = { web = { upstreams = "web" } }
"""


@pytest.fixture
def traced(tmp_path: Path) -> Callable[..., Path]:
    def write(trace: str, text: str = TEXT) -> Path:
        (tmp_path / "trace.csv").write_text(trace)
        (tmp_path / "traced.toml").write_text(text)
        return tmp_path / "traced.toml"

    return write


def predicted(path: Path) -> dict[str, float]:
    return json.loads(path.read_text())["variants"][0]["simulated"]


def test_unix_seconds_begin_at_the_first_request(run: Run, one_line: OneLine, traced, tmp_path: Path) -> None:
    code, _, err = run("simulate", traced(EPOCH), "--json", tmp_path / "out.json")
    assert (code, predicted(tmp_path / "out.json")["requests"]) == (0, 4)
    line = one_line(err)
    assert "time begins at its first request, at 1732000000 s" in line
    assert "duration is 10 s, but the trace lasts 4 s: nothing is sent after its last request, at 3 s" in line


def test_a_longer_trace_is_cut_and_this_is_said(run: Run, one_line: OneLine, traced, tmp_path: Path) -> None:
    code, _, err = run("simulate", traced(LONG), "--json", tmp_path / "out.json")
    assert (code, predicted(tmp_path / "out.json")["requests"]) == (0, 1)
    assert "the trace lasts 12,000 s: it is cut after 1 of its 200 requests" in one_line(err)


def test_without_a_duration_all_of_it_is_sent(run: Run, one_line: OneLine, traced, tmp_path: Path) -> None:
    text = TEXT.replace('duration = "10s"\n', "")
    code, _, err = run("simulate", traced(LONG, text), "--json", tmp_path / "out.json")
    found = predicted(tmp_path / "out.json")
    assert (code, found["requests"], found["throughput_rps"]) == (0, 200, pytest.approx(1 / 60))
    assert "duration follows its 200 requests: 12,000 s" in one_line(err)


@pytest.mark.parametrize("command", ["simulate", "loadtest", "confirm", "sweep"])
@pytest.mark.parametrize(
    ("trace", "settings", "problem"),
    [
        (EPOCH, ["warmup=9s"], "warmup: no request of"),
        (LONG, ["warmup=1s"], "warmup: no request of"),
        (HEAD, [], "the trace holds no requests"),
        (EPOCH, ["duration=0s"], "duration: input should be greater than 0"),
    ],
)
def test_nothing_to_evaluate_is_one_line_before_any_work(
    run: Run, one_line: OneLine, traced, command: str, trace: str, settings: list[str], problem: str
) -> None:
    vary = ["--vary", "proxy.service.web.balance=p2c"] if command == "sweep" else []
    code, out, err = run(
        command, traced(trace), *vary, *(part for one in settings for part in ("--set", one))
    )
    assert (code, out) == (2, "")
    assert problem in one_line(err)


@pytest.mark.parametrize("command", ["simulate", "sweep"])
def test_users_whose_responses_never_come_are_an_error(run: Run, scenario: Path, command: str) -> None:
    slow = ["--set", "workload.users=1", "--set", "workload.think=150ms"]
    slow += ["--set", "backend.web.service_time=constant(100s)"]
    code, _, err = run(command, scenario, *slow)
    assert code == (2 if command == "simulate" else 1)
    assert "no request is due between the end of the warm-up, 0.2 s, and the end of the run, 1 s" in err


def test_a_sweep_says_what_it_cuts(run: Run, traced, tmp_path: Path) -> None:
    code, _, err = run(
        "sweep", traced(LONG), "--vary", "duration=10s,120s", "--out", tmp_path / "out.csv", "--jobs", 1
    )
    assert code == 0
    assert err.count("it is cut after 1 of its 200") == err.count("it is cut after 2 of its 200") == 1
    assert pd.read_csv(tmp_path / "out.csv")["requests"].tolist() == [1, 2]
