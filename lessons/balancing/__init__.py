"""Lesson 2, load balancing: ten servers, fresh and stale loads, consistent hashing.

- `server_pool`: simulates ten servers behind a balancer that knows more, less, or late.
- `formulas`: mean response times by queueing theory.
- `affinity`: which server each client is sent to, and how many move when servers change.
- `figures` and `explorer`: the pictures, and sliders over them.
- `exercise`: how few clients must move.
"""

from lessons.balancing.affinity import homes, share_moved
from lessons.balancing.exercise import least_moved
from lessons.balancing.explorer import FarmExplorer, explore_farm
from lessons.balancing.figures import figure_of_age, figure_of_farm
from lessons.balancing.formulas import (
    mean_of_choices,
    mean_of_random,
    mean_of_random_with_equal_work,
    mean_of_round_robin,
)
from lessons.balancing.server_pool import (
    FARM_BALANCERS,
    HASHING,
    Farm,
    Foreseen,
    by_age,
    foresee_farm,
    one_more_server,
)

__all__ = [
    "FARM_BALANCERS",
    "HASHING",
    "Farm",
    "FarmExplorer",
    "Foreseen",
    "by_age",
    "explore_farm",
    "figure_of_age",
    "figure_of_farm",
    "foresee_farm",
    "homes",
    "least_moved",
    "mean_of_choices",
    "mean_of_random",
    "mean_of_random_with_equal_work",
    "mean_of_round_robin",
    "one_more_server",
    "share_moved",
]
