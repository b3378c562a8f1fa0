"""Real runs that count: a void one is made again before it is given up."""

from __future__ import annotations

from loadtests import Measurement, Stage
from scenarios.schema import Scenario
from twin.progress import Advance

TRIES = 3
"""How often a void run is started before its result counts as void."""


def measure_once(
    stage: Stage, scenario: Scenario, advance: Advance, tries: int = TRIES
) -> tuple[Measurement, int]:
    """One valid real run if `tries` attempts yield one, else the last void one.

    Parameters
    ----------
    stage : Stage
        Where real runs happen.
    scenario : Scenario
        What to run.
    advance : callable
        Told of the seconds that pass; of the first attempt only, so that a bar ends where it should.
    tries : int
        Attempts at most.

    Returns
    -------
    Measurement, int
        The run, and how many were void before it.
    """
    shown = 0.0

    def show(done: float, _total: float) -> None:
        nonlocal shown
        if done > shown:
            advance(done - shown)
            shown = done

    again = 0
    while (run := stage.measure(scenario, progress=show)).void and again < tries - 1:
        again += 1
    return run, again
