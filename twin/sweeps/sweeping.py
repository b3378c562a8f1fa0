"""A grid of simulations, on all cores or on a Dask cluster. A stopped sweep can continue."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from policies import balancing_policies, eviction_policies
from policies.bad_input import BadInput
from scenarios.due import remarks
from simulator import Costs
from twin.output.tables import check_table, write_table
from twin.progress import Quiet, Reporter
from twin.sweeps.grid import Cell, ScenarioSource, cells_of, notes_of
from twin.sweeps.journal import Journal
from twin.sweeps.runners import Cluster, Cores, Outcome, Runner, SweepStopped

TEXTS = ("unsettled", "error")
"""Columns of a sweep's table that contain sentences."""


def sweep(
    scenario: ScenarioSource,
    vary: Mapping[str, Sequence[Any]] | None = None,
    *,
    replications: int = 1,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    costs: Costs | None = None,
    jobs: int = -1,
    scheduler: str | None = None,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> pd.DataFrame:
    """Simulate every combination of some settings.

    Parameters
    ----------
    scenario : str, path or mapping
        A scenario's file, the name of a shipped one, or its tables.
    vary : mapping of str to sequence, optional
        Dotted keys with their values; by default the scenario's ``compare`` table.
    replications : int
        Number of seeds for each setting. All settings get the same seeds: common random numbers.
    overrides : mapping or iterable of str
        Other changed settings, in the form of `load_scenario`.
    costs : Costs, optional
        Calibrated costs; typical values by default.
    jobs : int
        Processes on this machine; -1 for one per core.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``. Its workers simulate instead of this
        machine. They need proxytwin, and the trace file at the same path.
    out : str or path, optional
        ``*.csv`` or ``*.parquet``. During the sweep, a journal next to it keeps the finished cells. After a
        crash or an interruption, the same call continues from the journal.
    reporter : Reporter, optional
        Shows progress.

    Returns
    -------
    pandas.DataFrame
        One row per setting and replication. Columns: each varied key, ``replication``, ``seed``, every
        metric of `Summary`, ``unsettled`` (why the averages depend on the duration) and ``error``. The
        last two are empty if there is nothing to report. ``attrs["remarks"]`` says what is cut of a
        trace, or has no effect, one line each.

    Raises
    ------
    BadInput
        If a setting is wrong, `out` cannot be written, the scheduler cannot be reached, or the journal
        belongs to another scenario. Nothing was written then.
    SweepStopped
        If a worker process or the scheduler died. The journal keeps the finished cells.
    """
    costs = costs or Costs()
    cells = cells_of(scenario, vary or {}, replications, overrides)
    said = notes_of(scenario, vary or {}, overrides)
    said += [line for cell in cells if cell.scenario is not None for line in remarks(cell.scenario)]
    context = _context(cells, costs)
    work = {cell.key(context): cell for cell in cells}
    path = None if out is None else Path(out)
    if path is not None:
        check_table(path, "--out")
    runner: Runner = Cores(jobs) if scheduler is None else Cluster(scheduler)
    with runner:
        if path is None or _is_device(path):
            outcomes = _finish(work, {}, runner, costs, reporter or Quiet(), lambda *_: None)
            return _kept(to_frame(work, outcomes), path, said)
        with Journal(journal_of(path)) as journal:
            _refuse_another(journal, work, path)
            outcomes = _finish(work, journal.finished, runner, costs, reporter or Quiet(), journal.append)
            frame = _kept(to_frame(work, outcomes), path, said)
            journal.remove()
            return frame


def journal_of(out: Path) -> Path:
    """The path of the journal, which keeps the finished cells until the table is written."""
    return out.with_name(out.name + ".journal")


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _kept(frame: pd.DataFrame, path: Path | None, said: Iterable[str]) -> pd.DataFrame:
    frame.attrs["remarks"] = [*dict.fromkeys(said), *_without_effect(frame)]
    if path is not None:
        write_table(path, frame)
    return frame


def _without_effect(frame: pd.DataFrame) -> list[str]:
    """A line for each varied key whose values give the same figures, to the last digit."""
    keys = list(frame.columns)
    keys = keys[: keys.index("replication")]
    figures = [name for name in frame.columns if name not in (*keys, "replication", "seed", *TEXTS)]
    said = []
    for key in keys:
        others = [*(name for name in keys if name != key), "replication"]
        rows = frame[frame["error"] == ""]
        if rows[key].nunique() > 1 and (rows.groupby(others)[figures].nunique() <= 1).all(axis=None):
            said.append(f"{key}: makes no difference here: its values give the same figures")
    return said


def _context(cells: list[Cell], costs: Costs) -> str:
    """What the outcomes depend on, apart from the settings: traces, costs, and policies from a notebook."""
    workloads = [cell.scenario.workload for cell in cells if cell.scenario is not None]
    traced = {(one.trace_files, one.format, one.columns, one.skip_bad): one for one in workloads if one.trace}
    digests = {}
    for workload in traced.values():
        workload.read_trace()  # raises now, before the work begins, if the trace is broken
    for trace in sorted({path for files, *_ in traced for path in files}):
        with Path(trace).open("rb") as file:
            digests[trace] = hashlib.file_digest(file, "sha256").hexdigest()
    added = {**eviction_policies.added(), **balancing_policies.added()}
    sources = {name: _source(policy) for name, policy in added.items()}
    return json.dumps([digests, repr(costs), sources], sort_keys=True)


def _source(policy: type) -> str:
    try:
        return inspect.getsource(policy)
    except (OSError, TypeError):  # the class was typed into an interpreter
        return ""


def _refuse_another(journal: Journal, work: Mapping[str, Cell], out: Path) -> None:
    strange = len(journal.finished.keys() - work.keys())
    if strange:
        raise BadInput(
            "--out",
            str(out),
            f"{journal_of(out).name} holds {strange} results of another sweep: the scenario, its trace or "
            f"--vary has changed; delete that file to start again, or choose another --out",
        )


def _finish(
    work: Mapping[str, Cell],
    finished: Mapping[str, Outcome],
    runner: Runner,
    costs: Costs,
    reporter: Reporter,
    keep: Callable[[str, Outcome], None],
) -> dict[str, Outcome]:
    """The outcome of every cell; simulates the unfinished cells, and calls `keep` for each outcome."""
    outcomes = dict(finished)
    failed = sum("error" in outcome for outcome in outcomes.values())
    left = {key: cell for key, cell in work.items() if key not in outcomes}
    impossible = [(key, {"error": cell.error}) for key, cell in left.items() if cell.scenario is None]
    tasks = [(key, cell.scenario) for key, cell in left.items() if cell.scenario is not None]
    with reporter.step("sweep", len(work)) as advance:
        advance(len(outcomes))

        def take(key: str, outcome: Outcome) -> None:
            nonlocal failed
            keep(key, outcome)
            outcomes[key] = outcome
            failed += "error" in outcome
            advance(1)
            reporter.note(f"{failed} failed" if failed else "")

        for key, outcome in impossible:
            take(key, outcome)
        if tasks:
            with closing(runner.run(tasks, costs)) as found:
                for key, outcome in found:
                    take(key, outcome)
    if len(outcomes) < len(work):
        raise SweepStopped(f"{len(work) - len(outcomes)} cells were not simulated")
    return outcomes


def to_frame(work: Mapping[str, Cell], outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """One row per cell, in the order of the grid."""
    rows = []
    for key, cell in work.items():
        outcome = outcomes[key]
        rows.append(
            {
                **{name: _plain(value) for name, value in cell.setting.items()},
                "replication": cell.replication,
                "seed": None if cell.scenario is None else cell.scenario.seed,
                **{name: value for name, value in outcome.items() if name != "error"},
                "error": outcome.get("error", ""),
            }
        )
    frame = pd.DataFrame(rows)
    for name in TEXTS:  # as the last columns
        frame[name] = frame.pop(name).fillna("") if name in frame else ""
    frame["seed"] = frame["seed"].astype("Int64")
    for name in next(iter(work.values())).setting:
        if frame[name].map(type).nunique() > 1:  # a column of a table has one type
            frame[name] = frame[name].map(str)
    for name in set(frame) - {*TEXTS, "seed", *next(iter(work.values())).setting}:
        frame[name] = pd.to_numeric(frame[name])
    return frame


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else json.dumps(value, default=str)
