"""Random extra work and random errors of a server, drawn in the order of its requests.

The draws are the same in the simulator and in a real run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np

from scenarios.distributions import Distribution

_BLOCK = 128


def own_work(
    jitter: Distribution | None, hiccup: tuple[float, float] | None, seed: int, replica: str
) -> Callable[[], float] | None:
    """A function that returns the extra seconds of work of each request at one server; ``None`` for none.

    Parameters
    ----------
    jitter : Distribution, optional
        Of durations, drawn for every request.
    hiccup : tuple of float, optional
        Probability of a pause, and its length in seconds.
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


def own_errors(share: float, seed: int, replica: str) -> Callable[[], bool] | None:
    """A function that says of each response of a server whether it is an error; ``None`` if none is.

    Parameters
    ----------
    share : float
        Probability of an error.
    seed : int
        The scenario's.
    replica : str
        Name of the server, such as ``web/0``.

    Notes
    -----
    Not locked: one caller at a time, in the order in which the work ends.
    """
    if not share:
        return None
    chance = random.Random(f"{seed}/{replica}/errors")
    return lambda: chance.random() < share
