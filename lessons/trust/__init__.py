"""Lesson 3, can the simulator be trusted: replications, warm-up, random numbers, coordinated omission.

- `replications`: repeated simulations of one server, compared with theory.
- `explorer`: sliders for load and duration.
- `plots`: figures of the warm-up and of coordinated omission.
- `exercise`: how many runs give a confidence interval of a wanted width.

The statistics themselves are in `simulator.statistics`.
"""

from lessons.trust.exercise import enough_runs
from lessons.trust.explorer import RunExplorer, explore_runs
from lessons.trust.real_runs import means_by_server, one_connection, ten_at_once
from lessons.trust.replications import SERVICE_S, figure_of_repetition, one_server, repeat

__all__ = [
    "SERVICE_S",
    "RunExplorer",
    "enough_runs",
    "explore_runs",
    "figure_of_repetition",
    "means_by_server",
    "one_connection",
    "one_server",
    "repeat",
    "ten_at_once",
]
