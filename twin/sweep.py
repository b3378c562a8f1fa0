"""A grid of simulations, on all cores or on a Dask cluster, that goes on where it was stopped."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import joblib
import pandas as pd

from policies import balancing_policies, eviction_policies
from policies.problems import BadInput
from scenarios import Scenario, Summary
from scenarios.traces import read_trace
from simulator import Costs, simulate
from twin.cluster import Cluster
from twin.grid import Cell, ScenarioSource, cells_of
from twin.journal import Journal
from twin.output import check_writable
from twin.progress import Quiet, Reporter
from twin.tables import check_table, write_table

Outcome = dict[str, Any]
"""The figures of one cell by column, and under ``error`` what went wrong, if anything did."""
Run = Callable[[Sequence[Scenario]], AbstractContextManager[Iterator[tuple[int, Outcome]]]]


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
        Dotted keys with their values; by default what the scenario compares.
    replications : int
        Seeds for each setting. All settings get the same seeds: common random numbers.
    overrides : mapping or iterable of str
        Other changed settings, as `load_scenario` takes them.
    costs : Costs, optional
        What calibration measured; typical values by default.
    jobs : int
        Processes on this machine; -1 for one per core.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, whose workers do it instead.
        They need proxytwin, and a trace's file at the same path.
    out : str or path, optional
        ``*.csv`` or ``*.parquet``. Until it is written, what is finished is kept in a journal
        beside it, from which the same call goes on after a crash or an interruption.
    reporter : Reporter, optional
        Shows progress.

    Returns
    -------
    pandas.DataFrame
        A row per setting and replication: a column for each varied key, ``replication``,
        ``seed``, every figure of `Summary`, and ``error``, empty where all went well.

    Raises
    ------
    BadInput
        Before anything is written: if a setting is wrong, `out` cannot be written, or the
        scheduler cannot be reached. Also if the journal is of another scenario.
    """
    costs = costs or Costs()
    cells = cells_of(scenario, vary or {}, replications, overrides)
    context = _context(cells, costs)
    keys = [cell.key(context) for cell in cells]
    path = None if out is None else Path(out)
    if path is not None:
        check_table(path, "--out")
        check_writable(path, "--out")
    with (_on_cluster(scheduler) if scheduler is not None else nullcontext(_on_cores(jobs))) as run:
        if path is None or not _may_have_journal(path):
            outcomes = _finish(cells, keys, {}, run, costs, reporter or Quiet(), lambda *_: None)
            frame = to_frame(cells, [outcomes[key] for key in keys])
            if path is not None:
                write_table(path, frame)
            return frame
        with Journal(journal_of(path)) as journal:
            _refuse_another(journal, set(keys), path)
            outcomes = _finish(cells, keys, journal.finished, run, costs, reporter or Quiet(), journal.append)
            frame = to_frame(cells, [outcomes[key] for key in keys])
            write_table(path, frame)
            journal.remove()
            return frame


def journal_of(out: Path) -> Path:
    """Where the finished cells of a sweep are kept until its table is written."""
    return out.with_name(out.name + ".journal")
