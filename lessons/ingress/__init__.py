"""Lesson 7, ingress: one door to many services.

- `rules`: which rule takes a request, as ``proxytwin explain`` says it; and a figure of rules and requests.
- `shared_door`: three services behind one door, simulated, with their formulas and a figure.
- `explorers`: controls for the order of rules, and sliders for a busy service.
- `front_door`: a real door, with TLS, a redirect and a rewrite.
- `exercise`: how much the door may take before one service is too busy.

The results of simulations are cached by their parameters, so that a slider responds at once.
"""

from lessons.ingress.exercise import door_limit
from lessons.ingress.explorers import DoorExplorer, RulesExplorer, explore_door, explore_rules
from lessons.ingress.front_door import behind_tls, knock
from lessons.ingress.rules import REQUESTS, RULES, explain_request, requests_of
from lessons.ingress.shared_door import door_runs, mean_ms, simulated_door, times_ms

__all__ = [
    "REQUESTS",
    "RULES",
    "DoorExplorer",
    "RulesExplorer",
    "behind_tls",
    "door_limit",
    "door_runs",
    "explain_request",
    "explore_door",
    "explore_rules",
    "knock",
    "mean_ms",
    "requests_of",
    "simulated_door",
    "times_ms",
]
