"""Figures of conversations: their messages, the time to the first response, and the mean per request."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.not_only_http.tunnel_model import WAYS, Conversation, converse
from twin.plots.style import FAINT, MEASURED, MEASURED_MARK, NEUTRAL, PREDICTED, PREDICTED_MARK, STYLE

_PLACE = {"client": 0.0, "proxy": 1.0, "server": 2.0}
_MOST_REQUESTS = 100
_CURVE = (1, 2, 3, 5, 10, 20, 50, _MOST_REQUESTS)


def figure_of_ways(client_ms: float, server_ms: float, requests: int, look_at: str) -> Figure:
    """The messages of one way; the time to the first response of each way; the mean time per request.

    Parameters
    ----------
    client_ms, server_ms : float
        Round trips client to proxy and proxy to server.
    requests : int
        Requests on one connection, marked in the right panel.
    look_at : str
        The highlighted way.
    """
    first = {name: converse(name, client_ms, server_ms) for name in WAYS}
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins draw faster
        figure = Figure(figsize=(11.0, 3.9))
        figure.subplots_adjust(left=0.07, right=0.985, top=0.9, bottom=0.14, wspace=0.55)
        ladder, bars, curves = figure.subplots(1, 3, width_ratios=(1.15, 0.9, 1))
        _draw_messages(ladder, look_at, first[look_at])
        _draw_first(bars, first, look_at)
        _draw_means(curves, client_ms, server_ms, requests, look_at)
    return figure


def _draw_messages(panel: Axes, name: str, found: Conversation) -> None:
    for who, place in _PLACE.items():
        panel.axvline(place, color=NEUTRAL, lw=0.8)
        panel.text(place, 1.01, who, ha="center", va="bottom", transform=panel.get_xaxis_transform())
    longest = max(found.first_ms, 1.0)
    for message in found.messages:
        start, end = _PLACE[message.sender], _PLACE[message.receiver]
        colour = PREDICTED if message.text in ("request", "response") else NEUTRAL
        panel.annotate(
            "",
            (end, message.arrived),
            (start, message.sent),
            arrowprops={"arrowstyle": "->", "color": colour},
        )
        panel.text(
            (start + end) / 2, (message.sent + message.arrived) / 2, message.text, ha="center",
            va="center", fontsize=7.5, color=colour, bbox={"fc": "white", "ec": "none", "pad": 0.8},
        )  # fmt: skip
    panel.set(xlim=(-0.15, 2.15), ylim=(longest * 1.04, -0.06 * longest), xticks=[], ylabel="time, ms")
    panel.set_xlabel(f"{name}: messages up to the first response")
    panel.grid(visible=False)
    panel.spines["bottom"].set_visible(False)


def _draw_first(panel: Axes, found: Mapping[str, Conversation], look_at: str) -> None:
    names = list(found)[::-1]
    request = found["raw TCP"].first_ms
    for place, name in enumerate(names):
        alpha = 1.0 if name == look_at else FAINT
        setup = found[name].first_ms - request
        bar = {"height": 0.6, "alpha": alpha}
        panel.barh(place, setup, color=NEUTRAL, label="setup" if name == look_at else None, **bar)
        panel.barh(
            place, request, left=setup, color=PREDICTED, label="request" if name == look_at else None, **bar
        )
        panel.text(found[name].first_ms, place, f" {found[name].first_ms:.0f}", va="center", fontsize=9)
    panel.set_yticks(range(len(names)), names)
    panel.set(title="first response", xlabel="time, ms")
    panel.legend(loc="upper right", fontsize=8, title="part", alignment="left")
    panel.set_xlim(0, 1.2 * max(1.0, *(each.first_ms for each in found.values())))
    panel.grid(visible=False, axis="y")


def _draw_means(panel: Axes, client_ms: float, server_ms: float, requests: int, look_at: str) -> None:
    others = [name for name in WAYS if name != look_at]
    labels = {look_at: look_at, others[0]: "the other ways"}
    for name in WAYS:
        means = [converse(name, client_ms, server_ms, count).mean_ms for count in _CURVE]
        mine = name == look_at
        panel.plot(
            _CURVE,
            means,
            color=PREDICTED if mine else NEUTRAL,
            lw=2.2 if mine else 1.0,
            zorder=3 if mine else 2,
            label=labels.get(name),
        )
    now = converse(look_at, client_ms, server_ms, requests).mean_ms
    panel.plot([requests], [now], "o", color=PREDICTED, ms=8, zorder=4)
    aside, side = (6, "left") if requests < 20 else (-6, "right")
    panel.annotate(
        f"{now:.0f} ms", (requests, now), (aside, 8), textcoords="offset points", ha=side, color=PREDICTED
    )
    panel.set(title="mean per request", xlabel="requests on one connection", ylabel="time, ms", xscale="log")
    panel.legend(loc="upper right", fontsize=8, title="way", alignment="left")
    panel.set_xticks([1, 10, 100], ["1", "10", "100"])
    panel.set_ylim(0, None)


def figure_of_measured_ways(predicted: Mapping[str, float], measured: Mapping[str, list[float]]) -> Figure:
    """The simulated and all measured times to the first response, in milliseconds, by way."""
    names = list(predicted)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 3.0))
        panel = figure.subplots()
        for place, name in enumerate(names):
            level = [place - 0.3, place + 0.3], [predicted[name]] * 2
            panel.plot(*level, color=PREDICTED, lw=3, marker=PREDICTED_MARK)
            seen = measured[name]
            shift = np.linspace(-0.15, 0.15, len(seen)) if len(seen) > 1 else np.zeros(1)
            panel.plot(place + shift, seen, MEASURED_MARK, color=MEASURED, ms=6, alpha=0.8)
        panel.plot([], [], color=PREDICTED, lw=3, marker=PREDICTED_MARK, label="predicted")
        panel.plot([], [], MEASURED_MARK, color=MEASURED, label="measured, one connection")
        panel.set_xticks(range(len(names)), names)
        panel.set(ylabel="first response, ms", title="a real proxy behind delayed links")
        panel.set_ylim(0, 1.3 * max(*predicted.values(), *itertools.chain(*measured.values())))
        panel.legend(loc="upper left", ncols=2, title="first response", alignment="left")
    return figure
