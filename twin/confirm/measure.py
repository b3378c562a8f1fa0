"""Real runs with repetition: a void run is tried again."""

from __future__ import annotations

from loadtests import Measurement, Stage
from scenarios.schema import Scenario
from twin.progress import Advance

TRIES = 3
"""How often a run is tried before its result counts as void."""


def measure_once(
    stage: Stage, scenario: Scenario, advance: Advance, tries: int = TRIES
) -> tuple[Measurement, int]:
    """The first valid run of at most `tries` attempts, or else the last void one.

    Parameters
    ----------
    stage : Stage
        Where real runs happen.
    scenario : Scenario
        The scenario to run.
    advance : callable
        Called with the seconds that pass in the first attempt, so that a progress bar ends at 100 %.
    tries : int
        Highest number of attempts.

    Returns
    -------
    Measurement, int
        The run, and the number of void runs before it.
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
