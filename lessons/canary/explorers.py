"""Sliders for lesson 8: weight, harm and traffic of a canary, and how often a z-test looks.

The widgets have no logic. They call functions that are tested over the whole range of the sliders.
"""

from __future__ import annotations

import numpy as np

from lessons.canary.exact import ALPHA, Rollback
from lessons.canary.figures import (
    HARMS,
    LOOKS,
    PEEKED_REQUESTS,
    STABLE_PERCENT,
    TRAFFIC_RPS,
    WEIGHTS_PERCENT,
    figure_of_peeking,
    figure_of_rollback,
)
from lessons.canary.rollouts import false_alarms_of_peeking
from lessons.kit.explorer import Drawn, Explorer, slider


class RollbackExplorer(Explorer):
    """Controls for weight, errors, harm and traffic; a figure of when the canary is caught.

    Parameters
    ----------
    weight_percent, stable_percent, harm, traffic_rps : float
        Initial values of the sliders.

    Attributes
    ----------
    weight, stable, harm, traffic : widgets
    """

    def __init__(self, weight_percent: int, stable_percent: float, harm: float, traffic_rps: int) -> None:
        self.weight = slider(weight_percent, WEIGHTS_PERCENT, "canary's share, %")
        self.stable = slider(stable_percent, STABLE_PERCENT, "the others fail, %")
        self.harm = slider(harm, HARMS, "canary fails as often ×")
        self.traffic = slider(traffic_rps, TRAFFIC_RPS, "requests per second")
        super().__init__([self.weight, self.stable, self.harm, self.traffic])

    def draw(self) -> Drawn:
        """The share of the canaries caught over time, and the requests by weight."""
        weight, stable = self.weight.value / 100, self.stable.value / 100
        harm, traffic = self.harm.value, self.traffic.value
        figure = figure_of_rollback(weight, stable, harm, traffic)
        said = _when_half(Rollback(weight, stable, harm), traffic)
        return Drawn(figure, f"Canaries rolled back over time. {said}", said)


def _when_half(rollback: Rollback, traffic_rps: float) -> str:
    """When half of the canaries are caught, and what that costs the users."""
    half = rollback.quantile(0.5)
    if np.isnan(half):
        return "Fewer than half of the canaries are caught within 100,000 requests"
    own = half * rollback.weight
    harmed = own * rollback.stable * (rollback.ratio - 1.0)
    return (
        f"Half of the canaries are caught within {_three_digits(half)} requests, {half / traffic_rps:.3g} s. "
        f"{_three_digits(own)} of these were the canary's, with {harmed:.2g} errors too many"
    )


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):,g}"


class PeekingExplorer(Explorer):
    """Controls for the looks of a z-test; a figure of good canaries that are rolled back.

    Parameters
    ----------
    every, rate_percent, weight_percent : float
        Initial values of the sliders.
    """

    def __init__(self, every: int, rate_percent: float, weight_percent: int) -> None:
        self.every = slider(every, LOOKS, "requests between two looks")
        self.rate = slider(rate_percent, STABLE_PERCENT, "both versions fail, %")
        self.weight = slider(weight_percent, WEIGHTS_PERCENT, "canary's share, %")
        super().__init__([self.every, self.rate, self.weight])

    def draw(self) -> Drawn:
        """The share of good canaries rolled back, by requests."""
        every, rate, weight = self.every.value, self.rate.value / 100, self.weight.value / 100
        alarms = false_alarms_of_peeking(every, rate, weight, PEEKED_REQUESTS)[-1]
        exact = Rollback(weight, rate, 1.0).within(np.array([PEEKED_REQUESTS]))[0]
        said = (
            f"Good canaries rolled back within {PEEKED_REQUESTS:,} requests: {alarms:.0%} by the z-test, "
            f"{exact:.1%} by the test of whose error it is, which promises {ALPHA:.0%} at most"
        )
        return Drawn(figure_of_peeking(every, rate, weight), said, said)


def explore_rollback(
    weight_percent: int = 5, stable_percent: float = 1.0, harm: float = 3.0, traffic_rps: int = 300
) -> RollbackExplorer:
    """Sliders for a canary that fails too often, as a `RollbackExplorer`."""
    return RollbackExplorer(weight_percent, stable_percent, harm, traffic_rps)


def explore_peeking(every: int = 100, rate_percent: float = 1.0, weight_percent: int = 5) -> PeekingExplorer:
    """Sliders for a canary as good as the others, as a `PeekingExplorer`."""
    return PeekingExplorer(every, rate_percent, weight_percent)
