"""Balancing: which upstream gets a request. One file a policy; look at `base` first."""

from policies.balancing.base import (
    Balancer,
    Dispatch,
    Upstreams,
    balancing_policies,
    balancing_policy,
    dispatch_rng,
)
from policies.balancing.least_requests import LeastRequests
from policies.balancing.p2c import PowerOfTwoChoices
from policies.balancing.round_robin import RoundRobin
from policies.balancing.uniform_random import UniformRandom

__all__ = [
    "Balancer", "Dispatch", "LeastRequests", "PowerOfTwoChoices", "RoundRobin", "UniformRandom",
    "Upstreams", "balancing_policies", "balancing_policy",
    "dispatch_rng",
]  # fmt: skip
