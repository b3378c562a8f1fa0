"""Balancing: which upstream gets a request. One file a policy; look at `base` first."""

from policies.balancing.base import (
    Balancer,
    Dispatch,
    Upstreams,
    balancing_policies,
    balancing_policy,
    dispatch_rng,
)
from policies.balancing.bounded_ring_hash import BoundedRingHash
from policies.balancing.join_idle_queue import JoinIdleQueue
from policies.balancing.least_requests import LeastRequests
from policies.balancing.maglev import Maglev
from policies.balancing.p2c import PowerOfTwoChoices
from policies.balancing.peak_ewma import PeakEwma
from policies.balancing.prequal import Prequal
from policies.balancing.rendezvous_hash import RendezvousHash
from policies.balancing.ring_hash import RingHash
from policies.balancing.round_robin import RoundRobin
from policies.balancing.source_hash import SourceHash
from policies.balancing.uniform_random import UniformRandom
from policies.balancing.weighted_random import WeightedRandom
from policies.balancing.weighted_round_robin import WeightedRoundRobin

__all__ = [
    "Balancer", "BoundedRingHash", "Dispatch", "JoinIdleQueue", "LeastRequests", "Maglev", "PeakEwma",
    "PowerOfTwoChoices", "Prequal", "RendezvousHash", "RingHash", "RoundRobin", "SourceHash",
    "UniformRandom", "Upstreams", "WeightedRandom", "WeightedRoundRobin", "balancing_policies",
    "balancing_policy", "dispatch_rng",
]  # fmt: skip
