"""Network latency: how long each message on a link is under way."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np

from scenarios.distributions import Distribution

Latency = Callable[[], float]
"""Seconds that the next message takes."""

_BLOCK = 512
_STREAM = 2**31 + 64
"""First of the links' streams; the workload's have smaller numbers."""


def latency_draws(distribution: Distribution | None, seed: int, link: str) -> Latency | None:
    """Seconds that each message takes, one after the other; ``None`` if it takes no time.

    Parameters
    ----------
    distribution : Distribution, optional
        Of durations.
    seed : int
        The scenario's.
    link : str
        Name of the link: each has a stream of its own.

    Notes
    -----
    Not locked: one caller at a time.
    """
    if distribution is None:
        return None
    stream = np.random.SeedSequence(seed, spawn_key=(_STREAM, zlib.crc32(link.encode())))
    rng = np.random.default_rng(stream)

    def draws() -> Iterator[float]:
        while True:
            yield from distribution.sample(rng, _BLOCK).tolist()

    return draws().__next__
