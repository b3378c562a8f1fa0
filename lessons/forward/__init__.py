"""Lesson 4, the forward proxy: a shared cache, anonymity, block lists, and what a proxy does not hide.

- `shared_cache`: the hit ratio of a shared cache, simulated and by a formula; `explorer` has the sliders.
- `shared_cache_measured`: the same on a real proxy.
- `anonymity`: what an origin learns at each level; `blocking`: which requests a block list refuses.
- `leaks`: whether a proxy can replace a VPN.
- `exercise`: the hit ratio of a cache behind another cache.

Servers and proxies run in threads of the notebook's process. Each function stops the servers and proxies
that it started.
"""

from lessons.forward.anonymity import BROWSER, CLIENT, LevelsTable, what_the_origin_sees
from lessons.forward.blocking import visit
from lessons.forward.exercise import ratio_behind
from lessons.forward.explorer import SharingExplorer, explore_sharing
from lessons.forward.leaks import what_still_leaks
from lessons.forward.shared_cache import EACH, expected_hit_ratio, share
from lessons.forward.shared_cache_measured import confirm_sharing, measure_sharing

__all__ = [
    "BROWSER",
    "CLIENT",
    "EACH",
    "LevelsTable",
    "SharingExplorer",
    "confirm_sharing",
    "expected_hit_ratio",
    "explore_sharing",
    "measure_sharing",
    "ratio_behind",
    "share",
    "visit",
    "what_still_leaks",
    "what_the_origin_sees",
]
