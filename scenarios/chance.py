"""A server's own chance: the same draws in both twins, in the order in which requests come to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np

from scenarios.distributions import Distribution

_BLOCK = 128


def own_work(
    jitter: Distribution | None, hiccup: tuple[float, float] | None, seed: int, replica: str
) -> Callable[[], float] | None:
    """How many seconds the work of each request takes longer at one server; ``None`` for none ever.

    Parameters
    ----------
    jitter : Distribution, optional
        Of durations, drawn for every request.
    hiccup : tuple of float, optional
        The chance of a pause, and how many seconds it lasts.
    seed : int
        The scenario's.
    replica : str
        Name of the server, such as ``web/0``.

    Notes
    -----
    Not locked: one caller at a time.
    """
    if jitter is None and hiccup is None:
        return None
    chance = random.Random(f"{seed}/{replica}")
    share, lasts = hiccup or (0.0, 0.0)
    rng = np.random.default_rng(chance.getrandbits(64))

    def draws() -> Iterator[float]:
        while True:
            for longer in np.zeros(_BLOCK) if jitter is None else jitter.sample(rng, _BLOCK):
                yield float(longer) + (lasts if chance.random() < share else 0.0)

    return draws().__next__
