"""Sliders for lesson 1. A slider simulates anew and redraws the figure.

The widget has no logic. It calls `simulate_balancers` and `figure_of_balancers`, which are tested over the
whole range of the sliders.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import ipywidgets as widgets

from lessons.kit.explorer import Drawn, Explorer
from lessons.predict_then_confirm.balancers import (
    BALANCERS,
    LESSON_USERS,
    answered_in,
    figure_of_balancers,
    simulate_balancers,
)

USERS = (10, 120, 10)
SLOWNESS = (1.0, 8.0, 0.5)
"""Minimum, maximum, step."""


class BalancerExplorer(Explorer):
    """Controls for users, slowness and balancer; a figure of tails, p99 and busy replicas.

    Parameters
    ----------
    users : int
        Initial value of the slider.
    slowness : float
        Initial value of the slider: how many times slower replica 3 is.
    balancers : sequence of str
        Names of the compared balancers; a notebook cell may have defined some of them.

    Attributes
    ----------
    users, slowness, balancer : widgets
        The two sliders and the list.
    """

    def __init__(
        self, users: int = LESSON_USERS, slowness: float = 3.0, balancers: Sequence[str] = BALANCERS
    ) -> None:
        self._balancers = tuple(balancers)
        wide = {"style": {"description_width": "11em"}, "layout": widgets.Layout(width="34em")}
        self.users = widgets.IntSlider(users, *USERS, description="users", continuous_update=False, **wide)
        self.slowness = widgets.FloatSlider(
            slowness, min=SLOWNESS[0], max=SLOWNESS[1], step=SLOWNESS[2], readout_format=".1f",
            description="replica 3 slower by ×", continuous_update=False, **wide,
        )  # fmt: skip
        self.balancer = widgets.Dropdown(options=self._balancers, description="look at", **wide)
        super().__init__([self.users, self.slowness, self.balancer])

    def draw(self) -> Drawn:
        """Tails, p99 and busy replicas."""
        started = time.perf_counter()
        results = simulate_balancers(self.users.value, self.slowness.value, self._balancers)
        figure = figure_of_balancers(results, self.balancer.value)
        p99s = "; ".join(f"{name}: p99 {found.summary.p99_ms:.0f} ms" for name, found in results.items())
        return Drawn(figure, f"Simulated response times. {p99s}", answered_in(results, started))


def explore_balancers(
    users: int = LESSON_USERS, slowness: float = 3.0, balancers: Sequence[str] = BALANCERS
) -> BalancerExplorer:
    """Sliders for the slow server, as a `BalancerExplorer`."""
    return BalancerExplorer(users, slowness, balancers)
