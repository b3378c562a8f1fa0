"""Lesson 1, predict then confirm: one of four servers is slow, and four balancers are compared.

- `balancers`: simulates every balancer, and draws their response times.
- `explorer`: sliders for the number of users and the slowness of the server.
- `closed_loop`: utilisation and throughput of a closed loop, compared with their bounds.
- `exercise`: the share of requests that the slow server should get.

The results of simulations are cached by their parameters, so that a slider responds at once.
"""

from lessons.predict_then_confirm.balancers import (
    BALANCERS,
    BalancerResult,
    figure_of_balancers,
    order_by_p99,
    simulate_balancers,
    slow_server,
)
from lessons.predict_then_confirm.closed_loop import busy_share, figure_of_throughput, throughput_by_users
from lessons.predict_then_confirm.exercise import fair_share
from lessons.predict_then_confirm.explorer import BalancerExplorer, explore_balancers

__all__ = [
    "BALANCERS",
    "BalancerExplorer",
    "BalancerResult",
    "busy_share",
    "explore_balancers",
    "fair_share",
    "figure_of_balancers",
    "figure_of_throughput",
    "order_by_p99",
    "simulate_balancers",
    "slow_server",
    "throughput_by_users",
]
