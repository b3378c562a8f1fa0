"""Network latency: how long each message takes on a link."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np

from scenarios.distributions import Distribution

Latency = Callable[[], float]
"""Returns the seconds that the next message takes."""

_BLOCK = 512
_STREAM = 2**31 + 64
"""Number of the links' first random stream; the workload's streams have smaller numbers."""


def latency_draws(distribution: Distribution | None, seed: int, link: str) -> Latency | None:
    """A function that returns the seconds of each message in turn; ``None`` if messages take no time.

    Parameters
    ----------
    distribution : Distribution, optional
        Of durations.
    seed : int
        The scenario's.
    link : str
        Name of the link: each link has a separate random stream.

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
