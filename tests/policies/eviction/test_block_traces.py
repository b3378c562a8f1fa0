"""Eviction by bytes in traces of block storage, beside libCacheSim."""

from collections.abc import Hashable

import numpy as np
import pytest

from policies.eviction import Arc, eviction_policies
from policies.eviction.byte_queue import ByteQueue
from tests.policies.eviction.block_traces import KINDS, block_trace

EQUAL = {"clock": "Clock", "fifo": "FIFO", "lfu": "LFU", "lru": "LRU", "s3_fifo": "S3FIFO", "sieve": "Sieve",
         "two_q": "TwoQ"}  # fmt: skip
SHARES = [0.05, 0.1, 0.2]
TRACES = [(kind, seed) for kind in KINDS for seed in (1, 2)]


@pytest.mark.parametrize(("kind", "seed"), TRACES)
def test_w_tinylfu_finds_what_libcachesims_finds(kind: str, seed: int, hits_of, libcachesim_hits) -> None:
    """Half a percentage point less at most, and more over all."""
    blocks, sizes, bytes_ = block_trace(kind, seed)
    more = []
    for share in SHARES:
        capacity = int(share * bytes_)
        ours = np.mean(hits_of(eviction_policies["w_tinylfu"](capacity), blocks, each=sizes))
        more.append(ours - np.mean(libcachesim_hits("WTinyLFU", capacity, blocks, each=sizes)))
    assert min(more) > -0.005, more
    assert np.mean(more) > 0.002, more


@pytest.mark.parametrize("policy", EQUAL)
def test_the_same_hits_as_libcachesim(policy: str, hits_of, libcachesim_hits) -> None:
    for kind in KINDS:
        blocks, sizes, bytes_ = block_trace(kind, 1, 8_000)
        theirs = libcachesim_hits(EQUAL[policy], bytes_ // 10, blocks, each=sizes)
        assert hits_of(eviction_policies[policy](bytes_ // 10), blocks, each=sizes) == theirs, kind


class ArcByLibCacheSimsRules(Arc):
    """A ghost moves the target by the ratio of the ghost queues, in bytes; an eviction drops one ghost."""

    def _learn(self, ghosts: ByteQueue, size: int) -> None:
        super()._learn(ghosts, 1)
        self._target = int(self._target)

    def _evict(self, now: float) -> Hashable:
        once, again = self._once.used + self._once_ghosts.used, self._again.used + self._again_ghosts.used
        if self._regret is None and once + self._incoming > self.capacity:
            if not self._once_ghosts:
                return self._once.pop_oldest()[0]
            self._once_ghosts.pop_oldest()
        elif self._regret is None and self._again_ghosts and once + again >= 2 * self.capacity:
            self._again_ghosts.pop_oldest()
        return self._replace()

    @staticmethod
    def _trim(ghosts: ByteQueue, most: int) -> None:
        """More ghosts may stay."""


@pytest.mark.parametrize(("kind", "seed"), TRACES)
def test_arc_differs_from_libcachesims_by_its_target_and_its_ghosts_only(
    kind: str, seed: int, hits_of, libcachesim_hits
) -> None:
    blocks, sizes, bytes_ = block_trace(kind, seed)
    for share in SHARES:
        ours = hits_of(ArcByLibCacheSimsRules(int(share * bytes_)), blocks, each=sizes)
        theirs = libcachesim_hits("ARC", int(share * bytes_), blocks, each=sizes)
        assert ours == theirs


def test_arcs_target_follows_a_popularity_that_moves(hits_of, libcachesim_hits) -> None:
    """With a target that moves by bytes of objects, as the paper's does by pages, more is found."""
    blocks, sizes, bytes_ = block_trace("popularity that moves", 3)
    ours = hits_of(Arc(bytes_ // 10), blocks, each=sizes)
    assert np.mean(ours) > np.mean(libcachesim_hits("ARC", bytes_ // 10, blocks, each=sizes)) + 0.03
