"""When a canary was rolled back, seen from outside: it gets no request any more."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SURE = math.log(1e-6)
"""Logarithm of the probability, at most, that so long a silence is chance."""


def rollback_time(sent: NDArray[np.float64], is_canary: NDArray[np.bool_]) -> float | None:
    """Seconds until the last request went to the canary, if the silence since then is no chance.

    Parameters
    ----------
    sent : ndarray of float
        When each request was sent, in seconds.
    is_canary : ndarray of bool
        Whether the canary answered it.

    Returns
    -------
    float or None
        None if the canary still gets requests at the end, or never got one.

    Notes
    -----
    If the canary's share up to its last request is w, n further requests miss it by chance with probability
    ``(1 - w)^n``.
    """
    order = np.argsort(sent, kind="stable")
    places = np.flatnonzero(is_canary[order])
    if not len(places):
        return None
    last = int(places[-1])
    share, silent = len(places) / (last + 1), len(sent) - last - 1
    if share == 1.0 or silent * math.log1p(-share) > SURE:
        return None
    return float(sent[order[last]])
