"""Lesson 8, canary: how many requests until a bad version is caught, and how often a good one is by mistake.

- `exact`: when the test of whose error it is rolls a canary back, by dynamic programming.
- `wald`: Wald's test of one error rate: his approximation, the exact figures, and runs.
- `rollouts`: the same tests, simulated; a z-test that peeks; and users who stay with their arms.
- `figures`, `explorers`: sliders for weight, harm and traffic, and for the looks of a z-test.
- `scenarios`: the variants that the real proxy runs.
- `exercise`: the users that a cookie of the canary alone collects.

The results are cached by their parameters, so that a slider responds at once.
"""

from lessons.canary.exact import Rollback, first_guess
from lessons.canary.exercise import drifted_users
from lessons.canary.explorers import PeekingExplorer, RollbackExplorer, explore_peeking, explore_rollback
from lessons.canary.rollouts import (
    false_alarms_of_peeking,
    false_rollbacks_of_sticky_users,
    simulated_rollbacks,
)
from lessons.canary.scenarios import (
    BY_COOKIE,
    BY_HASH,
    ROLLED_BACK,
    canary_runs,
    requests_until_rollback,
    users_at_canary,
)
from lessons.canary.wald import exactly, mean_of_runs, walds_approximation

__all__ = [
    "BY_COOKIE",
    "BY_HASH",
    "ROLLED_BACK",
    "PeekingExplorer",
    "Rollback",
    "RollbackExplorer",
    "canary_runs",
    "drifted_users",
    "exactly",
    "explore_peeking",
    "explore_rollback",
    "false_alarms_of_peeking",
    "false_rollbacks_of_sticky_users",
    "first_guess",
    "mean_of_runs",
    "requests_until_rollback",
    "simulated_rollbacks",
    "users_at_canary",
    "walds_approximation",
]
