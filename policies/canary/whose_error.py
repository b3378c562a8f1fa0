"""Whose error is it? An always-valid test of a canary on the errors of both arms alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""How many times as bad the canary may be: the hypotheses that the evidence is spread over."""


def canary_share(weight: float, ratio: float) -> float:
    """The canary's share of the bad answers if it fails `ratio` times as often as the stable arm.

    Parameters
    ----------
    weight : float
        The canary's share of the requests, between 0 and 1.
    ratio : float
        1 if both arms are equally good.
    """
    return weight * ratio / (weight * ratio + 1.0 - weight)


class WhoseError:
    """Evidence that a canary fails more often than the stable arm.

    Each request goes to the canary with a known probability, the weight. If both arms are equally good, a bad
    answer is the canary's with exactly this probability, whatever the error rate is and however it changes.
    So bad answers are tosses of a known coin. For each ratio r, ``E_r`` is the likelihood ratio of "the
    canary fails r times as often" to "both fail alike". If both fail alike, ``E_r`` is a martingale that
    starts at 1, and so is the mean of all: it reaches 1/α with probability α at most, however often one looks
    (Ville 1939). M. Lindon, A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022.

    Parameters
    ----------
    ratios : sequence of float
        Values of r, each above 1.

    Notes
    -----
    The guarantee needs independent tosses. If users stay with one arm, only the first bad answer of each user
    may be given to `bad`, with the probability that this user was sent to the canary.
    """

    def __init__(self, ratios: Sequence[float] = RATIOS) -> None:
        self.ratios = tuple(ratios)
        self._log = [0.0] * len(self.ratios)
        self.canary = self.stable = 0
        self.evidence = 1.0

    def bad(self, is_canary: bool, weight: float) -> None:
        """Take note of one bad answer.

        Parameters
        ----------
        is_canary : bool
            Whether it is the canary's.
        weight : float
            The canary's share of the requests when this request was routed. At 0 and 1 a bad answer says
            nothing about the difference.
        """
        if is_canary:
            self.canary += 1
        else:
            self.stable += 1
        if not 0.0 < weight < 1.0:
            return
        logs = self._log
        for place, ratio in enumerate(self.ratios):
            share = canary_share(weight, ratio)
            logs[place] += log(share / weight) if is_canary else log((1.0 - share) / (1.0 - weight))
        self.evidence = sum(map(_exp, logs)) / len(logs)

    def against(self, ratio: float) -> float:
        """``E_r`` for one of the ratios: at β or below, the canary is not `ratio` times as bad.

        If it were, this value would be reached with probability β at most.
        """
        return _exp(self._log[self.ratios.index(ratio)])


def _exp(value: float) -> float:
    return exp(min(value, 700.0))
