"""Lesson 4, the forward proxy: a shared cache, anonymity, blocking, and what still leaks.

- `shared_cache`: what sharing adds to the hit ratio, simulated and by a formula; `explorer` has its sliders.
- `shared_cache_measured`: the same on a real proxy.
- `origin_server`: a web of one server that remembers each request; the next three use it.
- `anonymity`: what an origin learns at each level; `blocking`: which pages a block list lets through.
- `leaks`: whether a proxy can stand in for a VPN.
- `exercise`: what is left for a cache behind another one.

Servers and proxies run in threads of the notebook's process; each function stops what it started.
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
