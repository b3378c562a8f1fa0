"""Sliders for lesson 5. A slider simulates the ways through a proxy anew and redraws the figure.

The widget has no logic. It calls `figure_of_ways`, which is tested over the whole range of the sliders.
"""

from __future__ import annotations

import time

import ipywidgets as widgets

from lessons.kit.explorer import Drawn, Explorer
from lessons.not_only_http.figures import figure_of_ways
from lessons.not_only_http.tunnel_model import WAYS, all_ways

ROUND_TRIPS_MS = (0, 200, 10)
REQUESTS = (1, 100, 1)
"""Minimum, maximum, step."""


class WayExplorer(Explorer):
    """Controls for round trips, requests and way; a figure of messages, first responses and means.

    Parameters
    ----------
    client_ms, server_ms : int
        Initial values of the sliders: the round trips client to proxy and proxy to server.
    requests : int
        Initial value of the slider: requests on one connection.

    Attributes
    ----------
    client_ms, server_ms, requests, way : widgets
        The three sliders and the list.
    """

    def __init__(self, client_ms: int = 60, server_ms: int = 20, requests: int = 1) -> None:
        wide = {"style": {"description_width": "15em"}, "layout": widgets.Layout(width="38em")}
        self.client_ms, self.server_ms, self.requests = (
            widgets.IntSlider(at, *scale, description=text, continuous_update=False, **wide)
            for at, scale, text in (
                (client_ms, ROUND_TRIPS_MS, "round trip client – proxy, ms"),
                (server_ms, ROUND_TRIPS_MS, "round trip proxy – server, ms"),
                (requests, REQUESTS, "requests on one connection"),
            )
        )
        self.way = widgets.Dropdown(options=list(WAYS), value="SOCKS5", description="look at", **wide)
        super().__init__([self.client_ms, self.server_ms, self.requests, self.way])

    def draw(self) -> Drawn:
        """Messages, first responses and means."""
        started = time.perf_counter()
        there, onward, requests = self.client_ms.value, self.server_ms.value, self.requests.value
        figure = figure_of_ways(there, onward, requests, self.way.value)
        firsts = "; ".join(f"{name}: {way.first_ms:.0f} ms" for name, way in all_ways(there, onward).items())
        note = f"simulated and drawn in {time.perf_counter() - started:.2f} s"
        return Drawn(figure, f"Time to the first response. {firsts}", note)


def explore_ways(client_ms: int = 60, server_ms: int = 20, requests: int = 1) -> WayExplorer:
    """Sliders for the ways through a proxy, as a `WayExplorer`."""
    return WayExplorer(client_ms, server_ms, requests)
