"""Hiccups of a server: the same draws in both twins, in the order in which requests come to it."""

from __future__ import annotations

import random
from collections.abc import Callable


def hiccup_draws(share: float, lasts: float, seed: int, replica: str) -> Callable[[], float]:
    """How much longer the next request's work takes, request by request.

    Parameters
    ----------
    share : float
        Chance that it takes longer at all.
    lasts : float
        By how many seconds.
    seed : int
        The scenario's.
    replica : str
        Name of the server, such as ``web/0``.

    Examples
    --------
    >>> draw = hiccup_draws(0.5, 1.0, 7, "web/0")
    >>> sorted({draw() for _ in range(20)})
    [0.0, 1.0]
    """
    chance = random.Random(f"{seed}/hiccup/{replica}").random
    return lambda: lasts if chance() < share else 0.0
