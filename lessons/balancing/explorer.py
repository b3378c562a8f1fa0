"""Sliders over ten servers: load, news, a slow one, equal work; the picture changes in place.

The widget holds no logic: it calls `foresee_farm` and `figure_of_farm`, which are tested over the
whole range of the sliders.
"""

from __future__ import annotations

import time

import ipywidgets as widgets

from lessons.balancing.figures import figure_of_farm
from lessons.balancing.server_pool import FARM_BALANCERS, WORKS, Farm, foresee_farm
from lessons.kit.display import png

LOADS = (0.3, 0.95, 0.05)
LOOKS = (0.0, 10.0, 0.5)
SLOW = (1.0, 5.0, 0.5)
"""From, to, step."""


class FarmExplorer(widgets.VBox):  # type: ignore[misc]
    """What ten servers and their balancer are like, to choose; response times and queues, to see.

    Parameters
    ----------
    farm : Farm
        Where the sliders stand first.

    Attributes
    ----------
    load, looks, slow, work, balancer : widgets
        Three sliders and two lists.
    picture : widgets.Image
        Its ``value`` is a PNG file.
    """

    def __init__(self, farm: Farm) -> None:
        wide = {"style": {"description_width": "15em"}, "layout": widgets.Layout(width="38em")}

        def slider(
            value: float, ends: tuple[float, float, float], name: str, form: str
        ) -> widgets.FloatSlider:
            low, high, step = ends
            return widgets.FloatSlider(
                value, min=low, max=high, step=step, description=name, readout_format=form,
                continuous_update=False, **wide,
            )  # fmt: skip

        self.load = slider(farm.load, LOADS, "load", ".2f")
        self.looks = slider(farm.looks, LOOKS, "works between two looks", ".1f")
        self.slow = slider(farm.slow, SLOW, "server 9 slower by ×", ".1f")
        self.work = widgets.Dropdown(options=list(WORKS), value=farm.work, description="requests", **wide)
        self.balancer = widgets.Dropdown(options=FARM_BALANCERS, value="p2c", description="look at", **wide)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self._said = widgets.Label()
        controls = [self.load, self.looks, self.slow, self.work, self.balancer]
        super().__init__([*controls, self.picture, self._said])
        for control in controls:
            control.observe(self._redraw, "value")
        self._redraw()

    def _redraw(self, _change: object = None) -> None:
        started = time.perf_counter()
        farm = Farm(self.load.value, self.looks.value, self.slow.value, self.work.value)
        foreseen = foresee_farm(farm)
        self.picture.value = png(figure_of_farm(foreseen, self.balancer.value))
        requests = sum(one.requests for one in foreseen.values())
        took = time.perf_counter() - started
        self._said.value = f"{requests:,} simulated requests, answered in {took:.2f} s"


def explore_farm(
    load: float = 0.9, looks: float = 0.0, slow: float = 1.0, work: str = "uneven"
) -> FarmExplorer:
    """Sliders for ten servers; see `FarmExplorer`."""
    return FarmExplorer(Farm(load, looks, slow, work))
