"""Lesson 6, caching: the capacity of a cache, responses that expire, stampedes.

- `cache_size`: hit ratios by eviction policy and capacity, with their figure.
- `expiry`: formulas and simulations of responses that expire; `expiry_figures` draws them.
- `explorers`: the sliders for both.
- `scenarios`: the runs that the lesson confirms on the real proxy.
- `exercise`: how long a response must be fresh for a wanted hit ratio.
"""

from lessons.caching.cache_size import characteristic_time_hits, hits_by_policy, most_popular_kept
from lessons.caching.exercise import lifetime_needed
from lessons.caching.expiry import (
    fetches_per_expiry,
    hit_ratio,
    lifetimes,
    share_that_waits,
    simulated_pages,
    simulated_stampede,
)
from lessons.caching.explorers import explore_capacity, explore_lifetimes, explore_stampede, explore_windows
from lessons.caching.scenarios import caching_runs, long_run

__all__ = [
    "caching_runs",
    "characteristic_time_hits",
    "explore_capacity",
    "explore_lifetimes",
    "explore_stampede",
    "explore_windows",
    "fetches_per_expiry",
    "hit_ratio",
    "hits_by_policy",
    "lifetime_needed",
    "lifetimes",
    "long_run",
    "most_popular_kept",
    "share_that_waits",
    "simulated_pages",
    "simulated_stampede",
]
