"""A sweep that is killed or stopped goes on: nothing lost, doubled or mixed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from policies.bad_input import BadInput
from policies.eviction import EvictionPolicy, eviction_policies
from simulator import Costs
from twin.sweeps import runners
from twin.sweeps.journal import Journal
from twin.sweeps.sweeping import journal_of, sweep

ROOT = Path(__file__).parents[3]
CAPACITY, POLICY = "proxy.cache.capacity", "proxy.cache.policy"
VARY: dict[str, list[Any]] = {CAPACITY: ["5KiB", "10KiB"], POLICY: ["fifo", "lru", "sieve"]}


STOPS_AFTER_THREE = """
import sys, time
from twin.cli import main
from twin.sweeps.journal import Journal

append, count = Journal.append, 0

def stop(*arguments):
    global count
    append(*arguments)
    count += 1
    if count == 3:
        print("three are finished", flush=True)
        time.sleep(600)

Journal.append = stop
main()
"""


def start(scenario: Path, out: Path) -> subprocess.Popen[bytes]:
    """A sweep in a child process, which reports when three cells are finished, and then stops working."""
    vary = [f"--vary={key}={','.join(values)}" for key, values in VARY.items()]
    options = ["--replications=3", f"--out={out}", "--jobs=2"]
    command = [sys.executable, "-c", STOPS_AFTER_THREE, "sweep", str(scenario), *vary, *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_a_killed_sweep_goes_on_where_it_was(scenario: Path, tmp_path: Path, simulated: list[str]) -> None:
    out, journal = tmp_path / "t.csv", tmp_path / "t.csv.journal"
    with start(scenario, out) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"three are finished\n"
            workers = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.send_signal(signal.SIGKILL)
    finished = lines(journal) - 1
    assert finished == 3 and not out.exists()
    with journal.open("ab") as file:
        file.write(b'0123456789abcdef,"{""throu')  # as if it had been killed in the middle of a line
    table = sweep(scenario, VARY, replications=3, jobs=1, out=out)
    assert len(simulated) == 18 - finished and len(set(simulated)) == len(simulated)
    assert not journal.exists()
    again = tmp_path / "again.csv"
    pd.testing.assert_frame_equal(
        sweep(scenario, VARY, replications=3, jobs=1, out=again), table, check_exact=True
    )
    assert again.read_bytes() == out.read_bytes()
    _, alive = psutil.wait_procs([w for w in workers if "tracker" not in str(w)], timeout=30)
    assert not alive, "its workers ended with it"


def interrupted(
    scenario: Path, out: Path, after: int, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> None:
    """A sweep that is stopped by Ctrl-C after some cells."""
    append = Journal.append
    count = 0

    def stop(self: Journal, key: str, outcome: dict[str, Any]) -> None:
        nonlocal count
        append(self, key, outcome)
        count += 1
        if count == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "append", stop)
        sweep(scenario, VARY, jobs=1, out=out, **options)


def test_more_values_may_be_added_to_a_stopped_sweep(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulated: list[str]
) -> None:
    interrupted(scenario, tmp_path / "t.csv", 4, monkeypatch)
    simulated.clear()
    more = {**VARY, POLICY: [*VARY[POLICY], "lfu"]}
    table = sweep(scenario, more, jobs=1, out=tmp_path / "t.csv")
    assert (len(table), len(simulated)) == (8, 4)


@pytest.mark.parametrize("what", ["file", "trace", "override", "costs", "fewer values"])
def test_a_changed_scenario_is_noticed_and_results_are_not_mixed(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulated: list[str], what: str
) -> None:
    trace, out = tmp_path / "r.csv", tmp_path / "t.csv"
    trace.write_text("time_s,object,size_bytes\n0,a,10\n0.5,b,10\n")
    if what == "trace":
        scenario.write_text(
            scenario.read_text().replace('users = 8\nthink = "exponential(60ms)"', 'trace = "r.csv"')
        )
    interrupted(scenario, out, 4, monkeypatch)
    before = journal_of(out).read_bytes()
    simulated.clear()
    options: dict[str, Any] = {}
    if what == "file":
        scenario.write_text(scenario.read_text().replace("users = 8", "users = 9"))
    elif what == "trace":
        trace.write_text("time_s,object,size_bytes\n0,a,10\n0.6,b,10\n")
    elif what == "override":
        options = {"overrides": ["workload.users=9"]}
    elif what == "costs":
        options = {"costs": Costs.zero()}
    vary = {**VARY, CAPACITY: ["10KiB"]} if what == "fewer values" else VARY
    with pytest.raises(
        BadInput,
        match=r"t\.csv\.journal holds \d results of another sweep: the scenario, its trace or ",
    ):
        sweep(scenario, vary, jobs=1, out=out, **options)
    assert journal_of(out).read_bytes() == before and not out.exists() and not simulated


def test_a_new_title_or_comment_changes_nothing(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(scenario, tmp_path / "t.csv", 4, monkeypatch)
    scenario.write_text("# a comment\n" + scenario.read_text().replace("these tests", "they"))
    assert len(sweep(scenario, VARY, jobs=1, out=tmp_path / "t.csv")) == 6


@pytest.mark.usefixtures("breaking")
def test_a_failed_cell_stays_recorded_when_a_sweep_goes_on(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulated: list[str]
) -> None:
    monkeypatch.setitem(VARY, POLICY, ["breaks", "lru"])
    interrupted(scenario, tmp_path / "t.csv", 3, monkeypatch)
    simulated.clear()
    table = sweep(scenario, VARY, jobs=1, out=tmp_path / "t.csv")
    assert table["error"].map(bool).tolist() == [True, False, True, False] and len(simulated) == 1


def test_a_worker_that_dies_stops_the_sweep_and_keeps_what_is_finished(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: type[EvictionPolicy]
) -> None:
    class Dies(breaks):
        def _evict(self, now: float) -> object:
            os.kill(os.getpid(), signal.SIGKILL)
            return None

    monkeypatch.setitem(eviction_policies._classes, "dies", Dies)
    with pytest.raises(runners.SweepStopped, match="a worker process died; perhaps it ran out of memory"):
        sweep(scenario, {POLICY: ["fifo", "dies"]}, jobs=2, out=tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists() and journal_of(tmp_path / "t.csv").exists()
