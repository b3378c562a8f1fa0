"""Lesson 1, predict then confirm: one of several servers is slow; which balancer notices?

- `balancers`: simulates every balancer, and draws their response times.
- `explorer`: sliders over the number of users and over how slow the server is.
- `closed_loop`: utilisation and throughput of a closed loop, beside their bounds.
- `exercise`: the share of requests that each server should get.

Simulations are remembered by their parameters, so that a slider answers at once.
"""

from lessons.predict_then_confirm.balancers import (
    BALANCERS,
    Outlook,
    figure_of_balancers,
    foresee,
    slow_server,
)
from lessons.predict_then_confirm.closed_loop import busy_share, figure_of_throughput, throughput_by_users
from lessons.predict_then_confirm.exercise import fair_share
from lessons.predict_then_confirm.explorer import BalancerExplorer, explore_balancers

__all__ = [
    "BALANCERS",
    "BalancerExplorer",
    "Outlook",
    "busy_share",
    "explore_balancers",
    "fair_share",
    "figure_of_balancers",
    "figure_of_throughput",
    "foresee",
    "slow_server",
    "throughput_by_users",
]
