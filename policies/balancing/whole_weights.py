"""Integer weights, for balancers that assign turns or slots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

MOST = 2**16
"""Largest sum of integer weights, unless there are more upstreams."""


def whole_weights(weights: Sequence[float]) -> list[int]:
    """The smallest integers in the same proportions, or in similar ones with a sum of about `MOST`.

    Examples
    --------
    >>> whole_weights([0.5, 1.5, 1.0])
    [1, 3, 2]
    >>> whole_weights([7.0, 7.0])
    [1, 1]
    """
    if len(set(weights)) == 1:
        return [1] * len(weights)
    exact = [Fraction(weight).limit_denominator(1000) for weight in weights]
    scale = math.lcm(*(fraction.denominator for fraction in exact))
    whole = [int(fraction * scale) for fraction in exact]
    if min(whole) == 0 or sum(whole) // math.gcd(*whole) > MOST:
        total = math.fsum(weights)
        whole = [max(1, round(weight / total * MOST)) for weight in weights]
    divisor = math.gcd(*whole)
    return [weight // divisor for weight in whole]
