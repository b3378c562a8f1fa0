"""Sliders over the ways through a proxy: distances and requests to choose, conversations to see.

The widget holds no logic: it calls `figure_of_ways`, which is tested over the whole range.
"""

from __future__ import annotations

import time

import ipywidgets as widgets

from lessons.kit.display import png
from lessons.not_only_http.figures import figure_of_ways
from lessons.not_only_http.tunnel_model import WAYS

ROUND_TRIPS_MS = (0, 200, 10)
REQUESTS = (1, 100, 1)
"""From, to, step."""


class WayExplorer(widgets.VBox):  # type: ignore[misc]
    """Two round trips, requests and a way to choose; messages, first answers and means to see.

    Parameters
    ----------
    client_ms, server_ms : int
        Where the sliders stand first: round trips to the proxy, and from there to the server.
    requests : int
        Likewise: on one connection.

    Attributes
    ----------
    client_ms, server_ms, requests, way : widgets
        The three sliders and the list.
    picture : widgets.Image
        Its ``value`` is a PNG file.
    """

    def __init__(self, client_ms: int = 60, server_ms: int = 20, requests: int = 1) -> None:
        wide = {"style": {"description_width": "15em"}, "layout": widgets.Layout(width="38em")}
        self.client_ms, self.server_ms, self.requests = (
            widgets.IntSlider(at, *scale, description=text, continuous_update=False, **wide)
            for at, scale, text in (
                (client_ms, ROUND_TRIPS_MS, "client – proxy, ms there and back"),
                (server_ms, ROUND_TRIPS_MS, "proxy – server, ms there and back"),
                (requests, REQUESTS, "requests on one connection"),
            )
        )
        self.way = widgets.Dropdown(options=list(WAYS), value="SOCKS5", description="look at", **wide)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self._said = widgets.Label()
        super().__init__([self.client_ms, self.server_ms, self.requests, self.way, self.picture, self._said])
        for control in (self.client_ms, self.server_ms, self.requests, self.way):
            control.observe(self._redraw, "value")
        self._redraw()

    def _redraw(self, _change: object = None) -> None:
        started = time.perf_counter()
        there, onward, requests = self.client_ms.value, self.server_ms.value, self.requests.value
        self.picture.value = png(figure_of_ways(there, onward, requests, self.way.value))
        self._said.value = f"simulated and drawn in {time.perf_counter() - started:.2f} s"


def explore_ways(client_ms: int = 60, server_ms: int = 20, requests: int = 1) -> WayExplorer:
    """Sliders for the ways through a proxy; see `WayExplorer`."""
    return WayExplorer(client_ms, server_ms, requests)
