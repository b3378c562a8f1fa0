"""Lesson 6, caching: the size of a cache, answers that expire, stampedes.

- `cache_size`: hit ratios by eviction policy and size, with their picture.
- `expiry`: formulas and simulations of answers that expire; `expiry_figures` draws them.
- `explorers`: the sliders over both.
- `scenarios`: what the lesson confirms on the real proxy.
- `exercise`: how long an answer must be fresh for a wanted hit ratio.
"""

from lessons.caching.cache_size import best_possible, characteristic_time_hits, hits_by_policy
from lessons.caching.exercise import lifetime_needed
from lessons.caching.expiry import (
    fetches_per_expiry,
    hit_ratio,
    lifetimes,
    share_that_waits,
    simulated_pages,
    simulated_stampede,
)
from lessons.caching.explorers import explore_lifetimes, explore_rooms, explore_stampede, explore_windows
from lessons.caching.scenarios import caching_runs, long_run

__all__ = [
    "best_possible",
    "caching_runs",
    "characteristic_time_hits",
    "explore_lifetimes",
    "explore_rooms",
    "explore_stampede",
    "explore_windows",
    "fetches_per_expiry",
    "hit_ratio",
    "hits_by_policy",
    "lifetime_needed",
    "lifetimes",
    "long_run",
    "share_that_waits",
    "simulated_pages",
    "simulated_stampede",
]
