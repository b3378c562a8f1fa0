"""Eviction policies: which objects stay in a cache of bounded size.

Start with `base` (the interface, the byte count and the registry of names), then `fifo` and `lru`,
the two simplest policies. Each other file is one policy, named as in the settings; `byte_queue`,
`lowest_first` and `popularity` are the data structures that several of them share. `belady` knows the
future: it is a bound for traces. A policy belongs to one cache, which calls it under its own lock.
"""

from policies.eviction.arc import Arc
from policies.eviction.base import (
    FREE_HEAD,
    EvictionPolicy,
    charged_size,
    check_online,
    eviction_policies,
    eviction_policy,
    offline_policies,
    offline_policy,
)
from policies.eviction.belady import Belady, next_uses
from policies.eviction.clock import Clock
from policies.eviction.fifo import Fifo
from policies.eviction.gdsf import Gdsf
from policies.eviction.lfu import Lfu
from policies.eviction.lru import Lru
from policies.eviction.lru_k import LruK
from policies.eviction.popularity import Popularity
from policies.eviction.popularity_sketch import PopularitySketch
from policies.eviction.s3_fifo import S3Fifo
from policies.eviction.sieve import Sieve
from policies.eviction.slru import Slru
from policies.eviction.two_q import TwoQ
from policies.eviction.uniform_random import UniformRandom
from policies.eviction.w_tinylfu import WTinyLfu

__all__ = [
    "FREE_HEAD", "Arc", "Belady", "Clock", "EvictionPolicy", "Fifo", "Gdsf", "Lfu", "Lru", "LruK",
    "Popularity", "PopularitySketch", "S3Fifo", "Sieve", "Slru", "TwoQ", "UniformRandom", "WTinyLfu",
    "charged_size", "check_online", "eviction_policies", "eviction_policy", "next_uses",
    "offline_policies", "offline_policy",
]  # fmt: skip
