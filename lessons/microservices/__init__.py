"""Lesson 9, microservices: pages of many calls, the retry storm and its ten remedies, adaptive limits.

- `fan_out`: a page is as slow as the slowest of its calls, exactly and simulated.
- `storm`: an outage, retries with a budget, and the rule that says whether and when it is over.
- `remedies`: ten remedies in a table and a picture, beside the student's guess.
- `limits`: four limits of requests in flight, under overload and before a service that becomes slower.
- `figures`, `explorers`: sliders for all three.
- `scenarios`: the variants that the real proxy runs.
- `measured`: those runs over time, in both twins.
- `exercise`: the largest budget that heals in time.

The results are cached by their parameters, so that a slider responds at once.
"""

from lessons.microservices.exercise import healing_budget
from lessons.microservices.explorers import (
    LimitsExplorer,
    PagesExplorer,
    StormExplorer,
    explore_limits,
    explore_pages,
    explore_storm,
)
from lessons.microservices.fan_out import (
    fork_join_ms,
    harmonic,
    page_ms,
    simulated_fork_join_ms,
    simulated_pages,
    slow_pages,
)
from lessons.microservices.limits import finite_queue, limited, simulated_limit
from lessons.microservices.measured import picture_of_storms
from lessons.microservices.remedies import REMEDIES, ten_remedies
from lessons.microservices.scenarios import BUDGET, DEADLINE, FREE, PAGE, good_after, storm_runs
from lessons.microservices.storm import (
    healing_s,
    heals,
    retries,
    simulated_storm,
    storm_of,
    storm_variant,
)

__all__ = [
    "BUDGET",
    "DEADLINE",
    "FREE",
    "PAGE",
    "REMEDIES",
    "LimitsExplorer",
    "PagesExplorer",
    "StormExplorer",
    "explore_limits",
    "explore_pages",
    "explore_storm",
    "finite_queue",
    "fork_join_ms",
    "good_after",
    "harmonic",
    "healing_budget",
    "healing_s",
    "heals",
    "limited",
    "page_ms",
    "picture_of_storms",
    "retries",
    "simulated_fork_join_ms",
    "simulated_limit",
    "simulated_pages",
    "simulated_storm",
    "slow_pages",
    "storm_of",
    "storm_runs",
    "storm_variant",
    "ten_remedies",
]
