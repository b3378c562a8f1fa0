"""Lesson 3, can the simulator be trusted: replications, warm-up, chance, coordinated omission.

- `replications`: one server, simulated again and again, beside what theory says.
- `explorer`: sliders over load and duration.
- `plots`: pictures of warm-up, of differences by chance, and of coordinated omission.
- `exercise`: how many runs make an interval narrow enough.

The statistics themselves are in `simulator.statistics`.
"""

from lessons.trust.exercise import enough_runs
from lessons.trust.explorer import RunExplorer, explore_runs
from lessons.trust.replications import SERVICE_S, figure_of_repetition, one_server, repeat

__all__ = [
    "SERVICE_S",
    "RunExplorer",
    "enough_runs",
    "explore_runs",
    "figure_of_repetition",
    "one_server",
    "repeat",
]
