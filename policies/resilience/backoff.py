"""How long a request waits before it is sent again."""

from __future__ import annotations

import random

LONGEST = 10.0
"""Times the base: the longest wait, without its random part."""


def backoff_delay(base: float, retries: int, rng: random.Random) -> float:
    """Seconds before a retry: the base, doubled for each further retry, and up to half as much again.

    Requests that have failed together are not sent again together. S. Floyd, V. Jacobson, "The
    synchronization of periodic routing messages", IEEE/ACM Transactions on Networking 2, 1994.

    Parameters
    ----------
    base : float
        Seconds before the first retry.
    retries : int
        1 for the first retry.
    rng : random.Random
    """
    return base * min(2.0 ** (retries - 1), LONGEST) * (1.0 + rng.random() / 2.0)
