"""A scenario's trace: the same files and options as for `proxytwin curve`, checked with the scenario."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policies.bad_input import BadInput
from scenarios import Workload, load_scenario
from scenarios.schema import WorkloadSettings

Load = Callable[..., Workload]

TEXT = """
title = "Which?"
duration = "10s"
warmup = "0s"
[workload]
{workload}
[backend.web]
service_time = "constant(1ms)"
[proxy]
route = [{{ to = "web" }}]
service = {{ web = {{ upstreams = "web" }} }}
"""
LOG = '{}.test 192.0.2.1 - - [07/Sep/2023:15:58:{:02} +0200] "GET / HTTP/2.0" 200 {} "-" "curl/7.74.0"\n'


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(workload: str, changes: Any = ()) -> Workload:
        (tmp_path / "mine.toml").write_text(TEXT.format(workload=workload))
        return Workload(load_scenario(tmp_path / "mine.toml", changes).scenario)

    return loaded


def asked(workload: Workload) -> list[int]:
    return [request.object for request in workload.stream(0)]


def test_a_log_of_several_files_is_replayed(load: Load, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(LOG.format("a", 20, 7) + LOG.format("b", 21, 8))
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(LOG.format("b", 15, 9).encode()))
    workload = load('trace = ["access.log", "access.log.1.gz"]')
    assert (asked(workload), workload.sizes.tolist()) == ([0, 1, 0], [9, 7])


def test_format_columns_and_broken_lines_are_keys_of_the_workload(load: Load, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("5,0,a,10\n5,1000,b,10\n5,x,a,10\n5,2000,a,10\n")
    workload = load('trace = "t"\ncolumns = "object=3,size=4,time=2:ms"\nskip_bad = true')
    assert asked(workload) == [0, 1, 0]
    with pytest.raises(BadInput, match=r"t: line 3: expected numbers for"):
        load('trace = "t"\ncolumns = "object=3,size=4,time=2:ms"')
    (tmp_path / "t").write_text("0,k,3,7,1,get,0\n1,k,3,7,1,get,0\n")
    assert asked(load('trace = "t"\nformat = "Twitter"')) == [0, 0]


def test_the_options_may_be_set_and_compared(load: Load, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,object,size_bytes\n0,a,1\n1,b,x\n2,a,1\n")
    assert asked(load('trace = "t.csv"', ["workload.skip_bad=true"])) == [0, 0]
    assert asked(
        load('trace = "no.csv"', {"workload.trace": [str(tmp_path / "t.csv")], "workload.skip_bad": True})
    ) == [0, 0]
    scenario = load_scenario(
        tmp_path / "mine.toml",
        {"workload.skip_bad": True, "compare": {"workload.trace": [["t.csv", "t.csv"], "t.csv"]}},
    )
    files = [variant.scenario.workload.trace_files for variant in scenario.variants]
    assert files == [(str(tmp_path / "t.csv"),) * 2, (str(tmp_path / "t.csv"),)]


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ("trace = 5", "workload.trace: expected a file, or a list of files"),
        ("trace = []", "workload.trace: expected a file, or a list of files"),
        (
            'trace = "-"',
            "workload.trace: expected a file, not a pipe: a scenario reads its trace several times",
        ),
        (
            'trace = "pipe"',
            "workload.trace: expected a file, not a pipe: a scenario reads its trace several times",
        ),
        (
            'trace = "t"\nformat = "cvs"',
            "workload.format: unknown format of a trace (did you mean 'csv'?); expected one of csv, ",
        ),
        (
            'trace = "t"\ncolumns = "objct=1"',
            "workload.columns: unknown role 'objct' (did you mean 'object'?); expected one of",
        ),
        (
            'trace = "t"\nformat = "json"\ncolumns = "object=1"',
            "workload: columns: only a CSV trace has columns to name, not json",
        ),
        ('users = 5\nformat = "csv"', "workload: format: expected a 'trace' that it is about"),
        ('rate = "5/s"\nskip_bad = false', "workload: skip_bad: expected a 'trace' that it is about"),
        ('trace = "t"\nskip_bda = true', "workload.skip_bda: unknown key (did you mean 'skip_bad'?)"),
    ],
)
def test_a_wrong_option_is_told_with_its_key(load: Load, tmp_path: Path, workload: str, said: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput) as caught:
        load(workload)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.toml'}: {said}")


def test_a_trace_without_times_cannot_be_replayed(load: Load, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a\nb\n")
    with pytest.raises(
        BadInput, match=r"t\.txt: has no times, so a scenario cannot replay it; 'proxytwin curve' can$"
    ):
        load('trace = "t.txt"')
    (tmp_path / "t.txt").write_text("a\nb\n")
    with pytest.raises(BadInput, match="has no times"):
        load('trace = "t.txt"\ncolumns = "object=1"')


def test_what_the_reading_left_out_is_in_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("0,k,3,7,1,get,0\n1,k,3,9,1,get,0\n1,k,3,9,1,set,5\nx\n")
    settings = WorkloadSettings(trace=str(path), skip_bad=True)
    skipped, left_out, resized = settings.read_trace().notes
    assert skipped.startswith(f"{path}: skipped 1 broken lines, the first at line 4: expected an operation")
    assert left_out == f"{path}: left out 1 lines that are no read of an object with a body: set 1"
    assert (
        resized
        == f"{path}: 1 of 1 objects come back with another size; in a scenario each keeps its first size"
    )
