"""Lesson 10, both at once: forward before reverse, hierarchies of caches, and sidecars.

- `formulas`: Che's approximation for two tiers of caches.
- `networks`: the scenarios of the lesson, and their simulation.
- `figures`, `explorers`: sliders for two caches in a row, and for shields side by side.
- `measured_row`: two caches in a row on real sockets.
- `real_proxies`: whom a site sees behind a forward proxy, and two sidecars with mutual TLS.
- `exercise`: what reaches the origin while one shield is cold.

The results of simulations are cached by their parameters, so that a slider responds at once.
"""

from lessons.both_at_once.exercise import cold_shield
from lessons.both_at_once.explorers import RowExplorer, ShieldsExplorer, explore_row, explore_shields
from lessons.both_at_once.formulas import Shares, shares_by_formula
from lessons.both_at_once.measured_row import measured_row
from lessons.both_at_once.networks import (
    BY_PATH,
    BY_TURNS,
    EDGE_PLACES,
    PLACES,
    busiest_shield,
    row_run,
    saved_by_hashing,
    shares_of,
    shield_runs,
    simulated_shares,
)
from lessons.both_at_once.real_proxies import both_ways, clients_at_the_site, sidecars

__all__ = [
    "BY_PATH",
    "BY_TURNS",
    "EDGE_PLACES",
    "PLACES",
    "RowExplorer",
    "Shares",
    "ShieldsExplorer",
    "both_ways",
    "busiest_shield",
    "clients_at_the_site",
    "cold_shield",
    "explore_row",
    "explore_shields",
    "measured_row",
    "row_run",
    "saved_by_hashing",
    "shares_by_formula",
    "shares_of",
    "shield_runs",
    "sidecars",
    "simulated_shares",
]
