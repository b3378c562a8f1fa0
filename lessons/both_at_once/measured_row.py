"""Two caches in a row on real sockets: a real forward proxy before a real reverse one."""

from __future__ import annotations

from lessons.both_at_once.formulas import Shares
from lessons.both_at_once.networks import row_run, shares_of
from lessons.kit.progress_bars import NotebookBars
from loadtests import Stage
from twin.confirm.measure import measure_once


def measured_row() -> Shares:
    """The share of all requests that each of two real caches answers, with a progress bar."""
    scenario = row_run().variants[0].scenario
    bars = NotebookBars()
    with bars.displayed(), Stage() as stage, bars.step("measure", scenario.duration, unit="s") as advance:
        bars.note("a forward proxy before a reverse one")
        run, _ = measure_once(stage, scenario, advance, tries=1)  # a late request is a hit or a miss, too
    return shares_of(run.records.summary(scenario.window))
