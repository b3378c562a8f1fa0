"""``proxytwin curve``: hit ratio curves of a trace's file, and one line for each mistake."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from policies.bad_input import BadInput
from policies.eviction import eviction_policies
from twin.sweeps.curve import curves_of

Run = Callable[..., tuple[int, str, str]]
HEAD = "time_s,object,size_bytes\n"


@pytest.fixture
def run(run: Run) -> Run:
    """`run(…)` of this command is (exit status, standard output, standard error)."""
    return partial(run, "curve")


@pytest.fixture(scope="module")
def keys() -> list[int]:
    return np.random.default_rng(1).zipf(1.2, 20_000).clip(max=5_000).tolist()


@pytest.fixture
def trace(tmp_path: Path, keys: list[int]) -> Path:
    path = tmp_path / "t.oracleGeneral"
    path.write_bytes(
        b"".join(struct.pack("<IQIq", i // 100, key, key % 9 * 100 + 100, -1) for i, key in enumerate(keys))
    )
    return path


def test_a_curve_prints_a_table_and_writes_table_and_picture(run: Run, trace: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "c.csv", tmp_path / "c.png"
    status, shown, said = run(trace, "--policy=lru,sieve", "--policy=belady", "--capacity=10KiB,1%",
                              f"--out={out}", f"--plot={plot}")  # fmt: skip
    assert (status, said) == (0, "")
    table = pd.read_csv(out)
    assert table["policy"].tolist() == ["lru"] * 2 + ["sieve"] * 2 + ["belady"] * 2
    assert "10KiB" in shown and f"{table['hit_ratio'][0]:.4f}" in shown
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_capacity_may_be_a_share_of_all_objects_bytes(trace: Path, keys: list[int]) -> None:
    footprint = sum(key % 9 * 100 + 100 for key in set(keys))
    table = curves_of(trace, ["lru"], ["10%", 4096]).table
    assert table["capacity_bytes"].tolist() == [4096, round(footprint / 10)]


def test_csv_access_log_and_binary_give_the_same_curve(trace: Path, tmp_path: Path, keys: list[int]) -> None:
    names = [(i // 100, key, key % 9 * 100 + 100) for i, key in enumerate(keys)]
    csv, log = tmp_path / "t.csv", tmp_path / "access.log"
    csv.write_text(HEAD + "".join(f"{time},/o/{key},{size}\n" for time, key, size in names))
    line = '127.0.0.1 - - [10/Oct/2024:13:{:02}:{:02} +0000] "GET /o/{} HTTP/1.1" 200 {} "-" "-"\n'
    log.write_text("".join(line.format(time // 60, time % 60, key, size) for time, key, size in names))
    tables = [curves_of(path, ["lru", "s3_fifo"], ["1%", "10%"]).table for path in (trace, csv, log)]
    assert tables[0]["hit_ratio"].between(0.1, 0.9).all()
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other, check_exact=True)


def test_all_stands_for_every_policy_that_does_not_need_the_future(trace: Path) -> None:
    table = curves_of(trace, ["all", "lru"], ["10%"]).table
    assert table["policy"].tolist() == eviction_policies.names()


def test_a_sample_says_its_error(run: Run, trace: Path) -> None:
    status, shown, said = run(trace, "--policy=lru", "--capacity=50KiB,200KiB", "--sample=0.3")
    assert status == 0 and shown.count("±") == 4
    assert said == (
        "proxytwin: capacity 50KiB: in a sample it is 15KiB, which holds too few objects; "
        "the error may be larger than shown\n"
    )


def test_broken_lines_are_counted_and_objects_that_do_not_fit_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "0,a,10\n1,b\n2,a,10\n3,c,0\n4,d,99\n5,a,10\n")
    status, _, said = run(path, "--capacity=50", "--skip-bad")
    assert status == 0
    assert said.splitlines() == [
        f"proxytwin: {path}: skipped 1 broken lines, the first at line 3: "
        "expected numbers for time_s and size_bytes",
        "proxytwin: capacity 50B: 20.00% of the requests are for larger objects, which are not stored",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEAD + "0,a,1\n1,b\n", "{path}: line 3: expected numbers for time_s and size_bytes"),
        (HEAD, "{path}: the trace holds no requests"),
        ("", "{path}: is empty; expected a trace"),
        (HEAD + "0,a,101", "--capacity: 100B: no object fits; the smallest requested object has 101 bytes"),
    ],
    ids=["broken line", "no request", "empty file", "above the capacity"],
)  # fmt: skip
def test_a_wrong_trace_is_one_line_and_nothing_is_written(
    run: Run, tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    out, plot = tmp_path / "c.csv", tmp_path / "c.png"
    assert run(path, "--capacity=100", f"--out={out}", f"--plot={plot}") == (
        2, "", f"proxytwin: {said.format(path=path)}\n"
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy=lruu"], "--policy: lruu: unknown eviction policy (did you mean 'lru'?)"),
        (["--capacity=0"], "--capacity: 0: expected a size above 0"),
        (["--capacity=0%"], "--capacity: 0%: expected a share above 0, such as 1%"),
        (["--capacity=x%"], "--capacity: x%: expected a share above 0, such as 1%"),
        (["--capacity=big"], "--capacity: big: expected a size such as '8KiB', '64MiB' or a whole number"),
        (["--sample=0"], "--sample: 0: expected a share above 0 and up to 1, such as 0.01"),
        (["--sample=1.5"], "--sample: 1.5: expected a share above 0 and up to 1, such as 0.01"),
        (["--sample=nan"], "--sample: nan: expected a share above 0 and up to 1, such as 0.01"),
        (["--sample=1e-9"], "--sample: 1e-09: a sample holds no object; expected a larger share"),
        (["--salts=0", "--sample=0.5"], "--salts: 0: expected at least 1"),
        (["--salts=4"], "--salts: has no effect without --sample"),
        (["--format=cvs"], "format: cvs: unknown format of a trace (did you mean 'csv'?)"),
        (["--out=/proc/c.csv"], "--out: /proc/c.csv: cannot be written: "),
        (["--plot=c.gif"], "--plot: c.gif: expected a name that ends in .png, .svg, .pdf"),
        (["--jobs=0"], "--jobs: 0: expected a number of processes, or -1 for one per core"),
    ],
)
def test_a_mistake_is_one_line(run: Run, trace: Path, arguments: list[str], said: str) -> None:
    status, shown, found = run(trace, *arguments)
    assert (status, shown) == (2, "")
    assert found.startswith(f"proxytwin: {said}") and found.count("\n") == 1


def test_a_trace_that_is_not_there_is_one_line(run: Run, tmp_path: Path) -> None:
    for name in ("none.csv", "none"):
        path = tmp_path / name
        assert run(path) == (2, "", f"proxytwin: {path}: cannot be read: No such file or directory\n")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        curves_of(tmp_path)


def test_default_capacities_that_hold_no_object_are_left_out_and_this_is_said(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "small.csv"
    path.write_text(HEAD + "0,a,10\n1,b,10\n2,a,10\n3,c,10\n")
    code, out, err = run(path, "--policy=lru")
    assert code == 0
    assert "30B" in out
    assert "proxytwin: left out, because no object fits: 0.1%, 0.3%, 1%, 3%, 10%, 30%" in err
    path.write_text(HEAD + "0,a,10\n1,a,10\n")
    code, out, err = run(path, "--policy=lru")
    assert (code, "0.5000" in out) == (0, True), "one object has room for itself"
