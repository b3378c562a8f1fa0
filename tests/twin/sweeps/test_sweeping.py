"""A sweep: every combination once, equal chance for all, nothing lost or doubled when it is killed."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

import twin
from policies.eviction import EvictionPolicy, eviction_policies, eviction_policy
from policies.eviction.lru import Lru
from policies.problems import BadInput
from scenarios import Summary, load_scenario
from simulator import Costs, simulate
from twin.sweeps import runners
from twin.sweeps.grid import read_vary
from twin.sweeps.journal import Journal
from twin.sweeps.sweeping import journal_of, sweep

ROOT = Path(__file__).parents[3]
FILE = """
title = "What do these tests show?"
seed = 3
duration = "{duration}"
warmup = "200ms"
[workload]
users = 8
think = "exponential(60ms)"
objects = 50
size = "300"
[backend.web]
replicas = 2
concurrency = 2
service_time = "exponential(10ms)"
cache_control = "max-age=60"
[proxy]
route = [{{ to = "web", cache = true }}]
service = {{ web = {{ upstreams = "web" }} }}
cache = {{ policy = "lru", capacity = "10KiB" }}
"""
CAPACITY, POLICY = "proxy.cache.capacity", "proxy.cache.policy"
VARY: dict[str, list[Any]] = {CAPACITY: ["5KiB", "10KiB"], POLICY: ["fifo", "lru", "sieve"]}


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(FILE.format(duration="1s"))
    return path


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the cells that were simulated in this process."""
    keys: list[str] = []
    real = runners.simulate_cell

    def remember(added: Any, key: str, *rest: Any) -> Any:
        keys.append(key)
        return real(added, key, *rest)

    monkeypatch.setattr(runners, "simulate_cell", remember)
    return keys


# -- the table -----------------------------------------------------------------------------------


def test_each_row_is_what_simulate_says_of_that_setting_and_seed(scenario: Path) -> None:
    table = sweep(scenario, VARY, replications=2, jobs=1)
    assert len(table) == 2 * 3 * 2
    assert table.groupby([CAPACITY, POLICY])["seed"].agg(list).tolist() == [[3, 4]] * 6
    for row in table.to_dict("records"):
        changes = {CAPACITY: row[CAPACITY], POLICY: row[POLICY], "seed": row["seed"]}
        alone = simulate(load_scenario(scenario, changes).scenario).summary
        assert {name: row[name] for name in runners.figures(alone)} == runners.figures(alone)
        assert row["error"] == ""


def test_a_table_is_tidy_with_every_figure(scenario: Path) -> None:
    table = sweep(scenario, VARY, replications=2, jobs=1)
    figures = [name for name in Summary.__dataclass_fields__ if not name.endswith("_share")]
    assert set(figures) < set(table.columns)
    assert list(table.columns[:4]) == [CAPACITY, POLICY, "replication", "seed"]
    assert {"upstream_share.web/0", "upstream_share.web/1"} < set(table.columns)
    assert table[POLICY].tolist() == [name for name in VARY[POLICY] for _ in range(2)] * 2


def test_all_cells_see_the_same_requests(scenario: Path) -> None:
    """A key that changes nothing changes no figure: common random numbers."""
    table = sweep(scenario, {"proxy.limits.threads": [256, 300, 4096]}, replications=2, jobs=1)
    figures = [name for name in table if name not in ("proxy.limits.threads", "seed", "replication")]
    for _, rows in table.groupby("replication"):
        assert len(rows[figures].drop_duplicates()) == 1
    assert len(table[figures].drop_duplicates()) == 2, "another seed is another workload"


def test_one_process_and_several_find_the_same(scenario: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    first = sweep(scenario, VARY, jobs=1, out=one)
    pd.testing.assert_frame_equal(first, sweep(scenario, VARY, jobs=2, out=two), check_exact=True)
    assert one.read_bytes() == two.read_bytes()


def test_csv_and_parquet_hold_the_table(scenario: Path, tmp_path: Path) -> None:
    table = sweep(scenario, VARY, jobs=1, out=tmp_path / "t.csv")
    sweep(scenario, VARY, jobs=1, out=tmp_path / "t.parquet")
    read = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(read, table, check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table, check_exact=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.toml", "t.csv", "t.parquet"]


def test_parquet_without_its_package_is_one_line(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        BadInput, match="Parquet needs the package pyarrow; install proxytwin with its 'parquet' extra"
    ):
        sweep(scenario, VARY, jobs=1, out=tmp_path / "t.parquet")


def test_without_keys_a_sweep_takes_what_the_scenario_compares(caching: dict[str, Any]) -> None:
    table = sweep({**copy.deepcopy(caching), "duration": "1s"}, jobs=1)
    assert table["proxy.cache.policy"].tolist() == ["fifo", "lru", "sieve"]


def test_costs_and_other_settings_count(scenario: Path) -> None:
    vary = {POLICY: ["lru"]}
    plain = sweep(scenario, vary, jobs=1)
    assert sweep(scenario, vary, jobs=1, costs=Costs.zero())["mean_ms"][0] < plain["mean_ms"][0]
    assert sweep(scenario, vary, jobs=1, overrides=["workload.users=2"])["requests"][0] < plain["requests"][0]


def test_lists_and_mixed_values_become_text(scenario: Path, tmp_path: Path) -> None:
    table = sweep(scenario, {"backend.web.slow": [{}, {"0": 3.0}], "workload.size": [300, "1KiB"]}, jobs=1,
                  out=tmp_path / "t.parquet")  # fmt: skip
    assert table["backend.web.slow"].unique().tolist() == ["{}", '{"0": 3.0}']
    assert table["workload.size"].unique().tolist() == ["300", "1KiB"]


def test_a_policy_of_a_notebook_can_be_swept(scenario: Path) -> None:
    @eviction_policy("mine")
    class Mine(Lru):
        pass

    try:
        table = sweep(scenario, {POLICY: ["lru", "mine"]}, jobs=2)
    finally:
        del eviction_policies._classes["mine"]
    assert table["hit_ratio"].nunique() == 1 and (table["error"] == "").all()


# -- what goes wrong -----------------------------------------------------------------------------


@eviction_policy("breaks")
class Breaks(EvictionPolicy):
    """Raises when it should evict."""

    def touch(self, key: object, now: float) -> None:
        pass

    def _admit(self, key: object, size: int, now: float) -> None:
        pass

    def _evict(self, now: float) -> object:
        raise ZeroDivisionError("no\nidea")

    def _forget(self, key: object) -> None:
        pass


del eviction_policies._classes["breaks"]


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(eviction_policies._classes, "breaks", Breaks)


@pytest.mark.usefixtures("breaking")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cell_that_fails_is_recorded_and_the_others_go_on(
    scenario: Path, tmp_path: Path, jobs: int
) -> None:
    table = sweep(scenario, {POLICY: ["lru", "breaks", "fifo"]}, jobs=jobs, out=tmp_path / "t.csv")
    assert table["error"].tolist() == ["", "ZeroDivisionError: no idea", ""]
    assert table["p99_ms"].isna().tolist() == [False, True, False]
    read = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert read["error"].tolist() == table["error"].tolist()


def test_values_that_do_not_go_together_are_a_failed_cell(scenario: Path) -> None:
    table = sweep(scenario, {"backend.web.slow": [{}, {"2": 2.0}], "backend.web.replicas": [2, 3]}, jobs=1)
    problem = "backend.web: slow.2: there is no such replica, they are 0 to 1"
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
        ({POLICY: ["lru", "lru"]}, "proxy.cache.policy: 'lru' stands twice"),
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
    with pytest.raises(BadInput, match="users: stands twice; put all its values into one list"):
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


# -- killed, and going on ------------------------------------------------------------------------


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
    """A sweep in a process of its own, which says when three cells are finished, and then does nothing."""
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
        match=r"t\.csv\.journal holds \d results that are not of this sweep: the scenario, its trace or ",
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
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dies(Breaks):
        def _evict(self, now: float) -> object:
            os.kill(os.getpid(), signal.SIGKILL)
            return None

    monkeypatch.setitem(eviction_policies._classes, "dies", Dies)
    with pytest.raises(runners.SweepStopped, match="a worker process died; perhaps it ran out of memory"):
        sweep(scenario, {POLICY: ["fifo", "dies"]}, jobs=2, out=tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists() and journal_of(tmp_path / "t.csv").exists()


# -- the journal ---------------------------------------------------------------------------------


def test_a_journal_tells_what_was_appended(tmp_path: Path) -> None:
    outcomes: Sequence[tuple[str, dict[str, Any]]] = [
        ("a", {"p99_ms": 0.1 + 0.2, "hit_ratio": None, "requests": 3}),
        ("b", {"error": 'it said "no",\nthen é'}),
    ]
    with Journal(tmp_path / "j") as journal:
        for key, outcome in outcomes:
            journal.append(key, outcome)
    with Journal(tmp_path / "j") as journal:
        assert journal.finished == dict(outcomes)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_dropped_wherever_it_was_torn(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append("a", {"p99_ms": 1.5})
        journal.append("b", {"p99_ms": 2.5})
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path) as journal:
        left = list(journal.finished)
        assert left == ["a", "b"][: len(left)] and len(left) < 2
        journal.append("c", {})
    with Journal(path) as journal:
        assert list(journal.finished) == [*left, "c"]


def test_two_sweeps_do_not_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(BadInput, match="j: another sweep is writing it"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize(
    "content", [b"some,table\n1,2\n", b"\xff\n", b"cell,outcome\na\n", b"cell,outcome\na,{\n"]
)
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(BadInput, match="j: is no journal of a sweep; delete it or choose another --out"):
        Journal(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content


def test_the_package_offers_it_by_name() -> None:
    assert twin.sweep is sweep
    with pytest.raises(AttributeError, match="no attribute 'sweeps_of'"):
        _ = twin.sweeps_of
