"""Sliders for lesson 3. A slider simulates ten runs anew and redraws the figure.

The widget has no logic. It calls `repeat` and `figure_of_repetition`, which are tested over the whole
range of the sliders.
"""

from __future__ import annotations

import ipywidgets as widgets

from lessons.kit.explorer import Drawn, Explorer
from lessons.trust.replications import figure_of_repetition, repeat, said

LOADS = (0.1, 0.95, 0.05)
SECONDS = (2, 40, 2)
"""Minimum, maximum, step."""


class RunExplorer(Explorer):
    """Controls for load and length of a run; a figure of the means of ten runs.

    Parameters
    ----------
    load : float
        Initial value of the slider.
    seconds : int
        Initial value of the slider: the length of each run.

    Attributes
    ----------
    load, seconds : widgets
        The sliders.
    """

    def __init__(self, load: float = 0.8, seconds: int = 12) -> None:
        wide = {"style": {"description_width": "11em"}, "layout": widgets.Layout(width="34em")}
        self.load = widgets.FloatSlider(
            load, min=LOADS[0], max=LOADS[1], step=LOADS[2], description="load", readout_format=".2f",
            continuous_update=False, **wide,
        )  # fmt: skip
        self.seconds = widgets.IntSlider(
            seconds, *SECONDS, description="seconds per run", continuous_update=False, **wide
        )
        super().__init__([self.load, self.seconds])

    def draw(self) -> Drawn:
        """The means of all runs, and theory."""
        found = repeat(self.load.value, self.seconds.value)
        return Drawn(figure_of_repetition(found), said(found), said(found))


def explore_runs(load: float = 0.8, seconds: int = 12) -> RunExplorer:
    """Sliders for repeated runs of one server, as a `RunExplorer`."""
    return RunExplorer(load, seconds)
