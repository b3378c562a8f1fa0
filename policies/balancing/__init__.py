"""Balancing policies: which upstream of a service gets a request.

Start with `base`: `Upstreams` (the state that a policy may see), `Balancer` (the interface), `Dispatch`
(one service's balancer with the count of outstanding requests). Each other file is one policy, named
as in the settings; `load_tracking`, `latency`, `hashing` and `whole_weights` are shared by several of
them. The callers of a `Dispatch` lock it; the simulator has one thread.
"""

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
