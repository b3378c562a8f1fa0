"""``proxytwin sweep``: the table, the file and the picture, and one line for each mistake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from policies.eviction import eviction_policies
from policies.eviction.lru import Lru
from twin.sweeps import runners

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[3]
SMALL = ("small-cache", "--set", "duration=1s", "--set", "workload.users=5", "--jobs=1")
POLICIES = "--vary=proxy.cache.policy=lru,fifo"
SAME = "proxytwin: proxy.cache.policy: makes no difference here: its values give the same figures\n"
"""In so short a run nothing is evicted."""


@pytest.fixture
def run(run: Run) -> Run:
    """`run(…)` of this command is (exit status, standard output, standard error)."""
    return partial(run, "sweep")


def test_a_sweep_prints_a_table_and_writes_table_and_picture(run: Run, tmp_path: Path) -> None:
    out, plot = tmp_path / "t.csv", tmp_path / "t.svg"
    status, shown, said = run(*SMALL, POLICIES, "--vary", "proxy.cache.capacity=64KiB,256KiB",
                              "--replications=2", f"--out={out}", f"--plot={plot}")  # fmt: skip
    assert (status, said) == (0, SAME)
    table = pd.read_csv(out, keep_default_na=False)
    assert len(table) == 8 and (table["error"] == "").all()
    assert "small-cache (predicted)" in shown and f"{table['hit_ratio'][:2].mean():.4f}" in shown
    assert "hit ratio" in plot.read_text()


def test_without_vary_the_scenarios_own_comparison_is_swept(run: Run) -> None:
    status, shown, _ = run(*SMALL)
    assert status == 0 and all(name in shown for name in ("fifo", "lru", "lfu", "sieve", "s3_fifo"))


def test_a_table_on_standard_output_stands_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "twin", "sweep", *SMALL, POLICIES, "--out=/dev/stdout"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("proxy.cache.policy,replication,seed,")
    assert (done.stdout.count("\n"), done.stderr) == (3, SAME)


def test_a_failed_cell_is_exit_status_1_and_stands_in_the_table(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks(Lru):
        def _evict(self, now: float) -> object:
            raise ZeroDivisionError("no idea")

    monkeypatch.setitem(eviction_policies._classes, "breaks", Breaks)
    out = tmp_path / "t.csv"
    status, _, said = run(*SMALL, "--vary=proxy.cache.policy=lru,breaks", "--set=proxy.cache.capacity=8KiB",
                          f"--out={out}", f"--plot={tmp_path / 't.png'}")  # fmt: skip
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith("proxytwin: 1 of 2 failed; the first: ")
    assert said.endswith("Breaks._evict: raised ZeroDivisionError: no idea\n")
    assert "ZeroDivisionError: no idea" in out.read_text() and (tmp_path / "t.png").exists()


def test_a_sweep_whose_workers_die_says_how_to_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise runners.SweepStopped("a worker process died; perhaps it ran out of memory")

    monkeypatch.setattr(runners.Cores, "run", gone)
    status, _, said = run(*SMALL, POLICIES, f"--out={tmp_path / 't.csv'}")
    assert (status, said) == (
        1,
        "proxytwin: the sweep was stopped: a worker process died; perhaps it ran out of memory; "
        "run the same command again to continue\n",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vary=users"], "--vary: users: expected key=value,value,…, such as workload.users=10,20,40"),
        (
            ["--vary=proxy.cache.policy=lruu"],
            "--vary: proxy.cache.policy=lruu: unknown eviction policy 'lruu'",
        ),
        ([POLICIES, "--jobs=0"], "--jobs: 0: expected a number of processes, or -1 for one per core"),
        ([POLICIES, "--plot=t.gif"], "--plot: t.gif: expected a name that ends in .png, .svg, .pdf"),
        ([POLICIES, "--metric=p98_ms"], "--metric: p98_ms: unknown figure"),
        ([POLICIES, "--out=/proc/t.csv"], "--out: /proc/t.csv: cannot be written: "),
        ([POLICIES, "--scheduler=127.0.0.1:1"], "--jobs: 1: the workers of --scheduler simulate"),
        ([POLICIES, "--metric=hit_ratio"], "--metric: has no effect without --plot"),
        ([POLICIES, "--set=proxy.cache.policy=lru"], "--set: proxy.cache.policy: is varied, too"),
        (["--vary=rank_by=p50_ms,p95_ms"], "--vary: rank_by: changes no prediction"),
        (
            ["--vary=proxy.service.wbe.balance=p2c,random"],
            "--vary: proxy.service.wbe.balance=p2c: there is no service 'wbe'",
        ),
        (["--vary=backend.wbe.replicas=1,2"], "--vary: backend.wbe.replicas=1: there is no backend 'wbe'"),
        ([POLICIES, "--set=nonsense"], "--set: nonsense: expected key=value"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(run: Run, arguments: list[str], said: str) -> None:
    status, shown, found = run(*SMALL, *arguments)
    assert (status, shown) == (2, "")
    assert found.startswith(f"proxytwin: {said}") and found.count("\n") == 1


def test_a_scenario_that_is_wrong_itself_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("titel = 1\n")
    status, _, said = run(str(path), POLICIES)
    assert (status, said) == (2, f"proxytwin: {path}: titel: unknown key (did you mean 'title'?)\n")


def test_a_scenario_that_is_not_there_is_one_line(run: Run) -> None:
    status, _, said = run("smal-cache", POLICIES)
    assert status == 2
    assert said == "proxytwin: smal-cache: no such file or shipped scenario (did you mean 'small-cache'?)\n"


def test_an_overload_is_said_in_one_line_and_in_the_table(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "sweep.csv"
    options = ("hockey-stick", "--set", "duration=20s", "--jobs=1", "--out", str(out))
    code, shown, err = run(*options, "--vary=workload.rate=25/s,75/s")
    assert code == 0 and "75/s" in shown
    assert err.startswith("proxytwin: 1 of 2 never settle; the first: ") and err.count("\n") == 1
    unsettled = pd.read_csv(out, keep_default_na=False)["unsettled"]
    assert unsettled[0] == "" and "never settles" in unsettled[1]
    assert run("hockey-stick", "--set", "duration=20s", "--jobs=1", "--vary=workload.rate=75/s")[0] == 2
