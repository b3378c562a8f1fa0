"""Sliders for lesson 2. A slider simulates ten servers anew and redraws the figure.

The widget has no logic. It calls `simulate_pool` and `figure_of_pool`, which are tested over the whole
range of the sliders.
"""

from __future__ import annotations

import time

import ipywidgets as widgets

from lessons.balancing.figures import figure_of_pool
from lessons.balancing.server_pool import POOL_BALANCERS, WORKS, ServerPool, simulate_pool
from lessons.kit.explorer import Drawn, Explorer

LOADS = (0.3, 0.95, 0.05)
SNAPSHOT_INTERVALS = (0.0, 10.0, 0.5)
SLOW = (1.0, 5.0, 0.5)
"""Minimum, maximum, step."""


class PoolExplorer(Explorer):
    """Controls for the servers and the balancer; a figure of response times and queues.

    Parameters
    ----------
    pool : ServerPool
        Initial values of the controls.

    Attributes
    ----------
    load, snapshot_interval, slow, work, balancer : widgets
        Three sliders and two lists.
    """

    def __init__(self, pool: ServerPool) -> None:
        wide = {"style": {"description_width": "17em"}, "layout": widgets.Layout(width="40em")}

        def slider(
            value: float, ends: tuple[float, float, float], name: str, form: str
        ) -> widgets.FloatSlider:
            low, high, step = ends
            return widgets.FloatSlider(
                value, min=low, max=high, step=step, description=name, readout_format=form,
                continuous_update=False, **wide,
            )  # fmt: skip

        self.load = slider(pool.load, LOADS, "load", ".2f")
        self.snapshot_interval = slider(
            pool.snapshot_interval, SNAPSHOT_INTERVALS, "snapshot interval, service times", ".1f"
        )
        self.slow = slider(pool.slow, SLOW, "server 9 slower by ×", ".1f")
        self.work = widgets.Dropdown(options=list(WORKS), value=pool.work, description="requests", **wide)
        self.balancer = widgets.Dropdown(options=POOL_BALANCERS, value="p2c", description="look at", **wide)
        super().__init__([self.load, self.snapshot_interval, self.slow, self.work, self.balancer])

    def draw(self) -> Drawn:
        """Response times and queues."""
        started = time.perf_counter()
        pool = ServerPool(self.load.value, self.snapshot_interval.value, self.slow.value, self.work.value)
        results = simulate_pool(pool)
        figure = figure_of_pool(results, self.balancer.value)
        means = "; ".join(
            f"{name}: {f'mean {one.mean:.1f} service times' if one.settles else 'never settles'}"
            for name, one in results.items()
        )
        requests = sum(one.requests for one in results.values())
        took = time.perf_counter() - started
        note = f"{requests:,} simulated requests in {took:.2f} s"
        return Drawn(figure, f"Simulated response times. {means}", note)


def explore_pool(
    load: float = 0.9, snapshot_interval: float = 0.0, slow: float = 1.0, work: str = "uneven"
) -> PoolExplorer:
    """Sliders for ten servers, as a `PoolExplorer`."""
    return PoolExplorer(ServerPool(load, snapshot_interval, slow, work))
