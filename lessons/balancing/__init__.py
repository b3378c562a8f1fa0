"""Lesson 2, load balancing: ten servers, fresh and stale loads, consistent hashing.

- `server_pool`: simulates ten servers behind a balancer with fresh loads, old loads, or none.
- `formulas`: mean response times by queueing theory.
- `affinity`: the server of each client, and how many clients move when the servers change.
- `figures` and `explorer`: the figures, and sliders for them.
- `exercise`: the smallest number of clients that must move.
"""

from lessons.balancing.affinity import homes, share_moved
from lessons.balancing.exercise import least_moved
from lessons.balancing.explorer import PoolExplorer, explore_pool
from lessons.balancing.figures import figure_of_age, figure_of_pool
from lessons.balancing.formulas import (
    mean_of_choices,
    mean_of_random,
    mean_of_random_with_equal_work,
    mean_of_round_robin,
)
from lessons.balancing.server_pool import (
    HASHING,
    POOL_BALANCERS,
    PoolResult,
    ServerPool,
    by_age,
    knowledge_runs,
    one_more_server,
    simulate_pool,
)

__all__ = [
    "HASHING",
    "POOL_BALANCERS",
    "PoolExplorer",
    "PoolResult",
    "ServerPool",
    "by_age",
    "explore_pool",
    "figure_of_age",
    "figure_of_pool",
    "homes",
    "knowledge_runs",
    "least_moved",
    "mean_of_choices",
    "mean_of_random",
    "mean_of_random_with_equal_work",
    "mean_of_round_robin",
    "one_more_server",
    "share_moved",
    "simulate_pool",
]
