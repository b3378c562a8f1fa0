"""What goes wrong in a sweep: a cell that fails is recorded, a mistake is one line before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from policies.bad_input import BadInput
from twin.sweeps.grid import read_vary
from twin.sweeps.sweeping import journal_of, sweep

CAPACITY, POLICY = "proxy.cache.capacity", "proxy.cache.policy"
VARY: dict[str, list[Any]] = {CAPACITY: ["5KiB", "10KiB"], POLICY: ["fifo", "lru", "sieve"]}


@pytest.mark.usefixtures("breaking")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cell_that_fails_is_recorded_and_the_others_go_on(
    scenario: Path, tmp_path: Path, jobs: int
) -> None:
    table = sweep(scenario, {POLICY: ["lru", "breaks", "fifo"]}, jobs=jobs, out=tmp_path / "t.csv")
    assert table["error"].str.replace(r"^.*py:\d+: ", "", regex=True).tolist() == [
        "", "Breaks._evict: raised ZeroDivisionError: no idea", "",
    ]  # fmt: skip
    assert table["p99_ms"].isna().tolist() == [False, True, False]
    read = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert read["error"].tolist() == table["error"].tolist()


def test_values_that_do_not_go_together_are_a_failed_cell(scenario: Path) -> None:
    table = sweep(scenario, {"backend.web.slow": [{}, {"2": 2.0}], "backend.web.replicas": [2, 3]}, jobs=1)
    problem = "backend.web: slow.2: there is no such replica; expected 0 to 1"
    assert table["error"].tolist() == ["", "", problem, ""]
    assert table["seed"].isna().tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        (
            {POLICY: ["lru", "lruu"]},
            "proxy.cache.policy=lruu: unknown eviction policy 'lruu' (did you mean 'lru'?)",
        ),
        ({"proxy.cash": [1]}, "proxy.cash=1: unknown key (did you mean 'cache'?)"),
        (
            {"workload.users": [1, 0]},
            "workload.users=0: input should be greater than or equal to 1, not 0",
        ),
        ({"title.x": [1]}, "title.x=1: 'title' is a single value, not a table"),
        ({POLICY: []}, "proxy.cache.policy: expected at least one value"),
        ({POLICY: ["lru", "lru"]}, "proxy.cache.policy: 'lru' is given twice"),
        ({}, "expected key=value,value,…, or a scenario that compares something"),
    ],
)
def test_a_bad_value_is_one_line_and_nothing_is_written(
    scenario: Path, tmp_path: Path, vary: dict[str, list[Any]], said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        sweep(scenario, vary, jobs=1, out=tmp_path / "t.csv")
    assert str(caught.value) == f"--vary: {said}"
    assert list(tmp_path.iterdir()) == [scenario]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users", "users: expected key=value,value,…, such as workload.users=10,20,40"),
        ("users=", "users=: expected key=value,value,…, such as workload.users=10,20,40"),
        ("users=1,,2", "users: expected a value between two commas"),
    ],
)
def test_a_text_that_names_no_values_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_vary([text])
    assert str(caught.value) == f"--vary: {said}"
    with pytest.raises(BadInput, match="users: is given twice; put all its values into one list"):
        read_vary(["users=1", "users=2"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("k=1,2.5,true", [1, 2.5, True]),
        ("k=lru,64KiB", ["lru", "64KiB"]),
        ('k="a,b",c', ["a,b", "c"]),
        ("k=[1, 2],{ a = 1, b = 2 }", [[1, 2], {"a": 1, "b": 2}]),
        ("k=erlang(20ms, 4),constant(1ms)", ["erlang(20ms, 4)", "constant(1ms)"]),
    ],
)
def test_values_are_read_as_toml_or_as_they_stand(text: str, values: list[Any]) -> None:
    assert read_vary([text]) == {"k": values}


def test_a_broken_trace_is_known_before_any_work(scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,object,size_bytes\n0,a,x\n")
    scenario.write_text(
        scenario.read_text().replace('users = 8\nthink = "exponential(60ms)"', 'trace = "t.csv"')
    )
    with pytest.raises(BadInput, match=r"t\.csv: line 2: expected numbers for time_s and size_bytes"):
        sweep(scenario, VARY, out=tmp_path / "out.csv")
    assert not journal_of(tmp_path / "out.csv").exists()


def test_an_output_that_cannot_be_written_is_known_before_any_work(
    scenario: Path, tmp_path: Path, simulated: list[str]
) -> None:
    with pytest.raises(BadInput, match=r"^--out: .*: is a folder; expected a file name$"):
        sweep(scenario, VARY, jobs=1, out=tmp_path)
    assert not simulated
