"""Traces of block storage: sizes are multiples of 512 bytes up to 68 KiB, and an object may change its size.

Each is made of what one sees in such traces: scans that read on where the last one ended, popular blocks
of many sizes, small groups of blocks that are read together again and again, and logs whose last block is
written again and again while it grows.
"""

from collections.abc import Callable, Iterator

import numpy as np

Request = tuple[int, int]
"""Block number and bytes."""

SECTOR = 512


class _Disk:
    """Blocks from 0 to 2^20 are popular ones, above them are scans, logs from 2^40 on."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.scanned, self.logged = 2**20, 2**40
        weight = np.arange(1, 8_001) ** -0.8
        self._cumulated = np.cumsum(weight / weight.sum())
        self._sectors = self.rng.choice([1, 2, 5, 8, 8, 8, 16, 32, 64, 136], 8_000)

    def popular(self, count: int) -> Iterator[Request]:
        for block in np.searchsorted(self._cumulated, self.rng.random(count)).tolist():
            yield block, SECTOR * int(self._sectors[min(block, 7_999)])

    def scan(self, count: int) -> Iterator[Request]:
        for _ in range(count):
            sectors = int(self.rng.choice([96, 104, 112, 128, 136]))
            yield self.scanned, SECTOR * sectors
            self.scanned += sectors

    def loop(self, first: int, count: int, rounds: int) -> Iterator[Request]:
        for _ in range(rounds):
            yield from ((2**30 + first + block, SECTOR * 32) for block in range(count))

    def log(self, blocks: int) -> Iterator[Request]:
        for _ in range(blocks):
            for _ in range(int(self.rng.integers(1, 8))):
                yield self.logged, SECTOR * int(self.rng.integers(1, 17))
            self.logged += 1


def _scans_between_popular_blocks(disk: _Disk) -> Iterator[Request]:
    while True:
        yield from disk.popular(60)
        yield from disk.scan(40)


def _logs_and_groups(disk: _Disk) -> Iterator[Request]:
    while True:
        yield from disk.loop(1_000 * int(disk.rng.integers(8)), 12, 3)
        yield from disk.log(12)
        yield from disk.scan(24)
        yield from disk.popular(25)


def _popularity_that_moves(disk: _Disk) -> Iterator[Request]:
    for epoch in range(10**6):
        for block, size in disk.popular(3_000):
            yield block + 2_000 * (epoch % 4), size
        yield from disk.scan(400)
        yield from disk.loop(5_000 * epoch, 300, 2)


KINDS: dict[str, Callable[[_Disk], Iterator[Request]]] = {
    "scans between popular blocks": _scans_between_popular_blocks,
    "logs and groups": _logs_and_groups,
    "popularity that moves": _popularity_that_moves,
}


def block_trace(kind: str, seed: int, count: int = 12_000) -> tuple[list[int], list[int], int]:
    """So many requests of a kind: blocks, the bytes of each request, and the bytes of all blocks."""
    requests = [request for request, _ in zip(KINDS[kind](_Disk(seed)), range(count), strict=False)]
    blocks, sizes = map(list, zip(*requests, strict=True))
    return blocks, sizes, sum(dict(reversed(requests)).values())
