"""Two figures: a second cache behind a first one, and shields side by side; each with its formula."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.both_at_once.formulas import Shares, shares_by_formula
from lessons.both_at_once.networks import EDGE_PLACES, simulated_shares
from lessons.kit.panels import FIXED_STYLE, two_panels
from twin.plots.style import NEUTRAL, PREDICTED

FIRST, SECOND = (20, 400, 20), (20, 800, 20)
"""Minimum, maximum, step of the objects that the caches of a row hold."""
EDGES, SHIELDS, ROOM = (1, 4, 1), (1, 4, 1), (50, 250, 50)
"""The same of the number of edges and shields, and of the objects that one shield holds."""


def figure_of_row(first: int, second: int) -> Figure:
    """A forward proxy's cache before a reverse proxy's: who answers, and what the second one is worth."""
    found = simulated_shares(first, second, forward=True)
    with mpl.rc_context(FIXED_STYLE):
        figure, now, by_size = two_panels()
        tiers = ["forward", "reverse", "origin"]
        _draw_tiers(now, tiers, found, shares_by_formula(first, second))
        sizes = np.arange(SECOND[0], SECOND[1] + 1, 20)
        curve = [100 * shares_by_formula(first, int(size)).behind for size in sizes]
        by_size.plot(sizes, curve, color=NEUTRAL, lw=1.5, ls="--", label="formula")
        by_size.plot([second], [100 * found.behind], "o", color=PREDICTED, ms=8, label="simulated")
        by_size.axvline(first, color=NEUTRAL, lw=1, ls=":")
        by_size.annotate(
            "as large as the first",
            (first, 50),
            (4, 4),
            textcoords="offset points",
            fontsize=8,
            color=NEUTRAL,
        )
        by_size.set(title="what the second cache answers", xlabel="objects that the second cache holds")
        by_size.set(ylabel="share of all requests, %", xlim=(0, SECOND[1] + 20), ylim=(0, 80))
        by_size.legend(loc="upper right", fontsize=8)
    return figure


def figure_of_shields(edges: int, shields: int, room: int, *, by_path: bool) -> Figure:
    """Edges before shields: who answers, and what reaches the origin by the number of shields."""
    found = simulated_shares(EDGE_PLACES, room, edges, shields, by_path=by_path)
    with mpl.rc_context(FIXED_STYLE):
        figure, now, by_number = two_panels()
        formula = shares_by_formula(EDGE_PLACES, room, edges, shields, by_path=by_path)
        _draw_tiers(now, ["edges", "shields", "origin"], found, formula)
        numbers = list(range(SHIELDS[0], SHIELDS[1] + 1))
        for way, dashes, name in ((False, ":", "by turns"), (True, "--", "by path")):
            curve = [
                100 * shares_by_formula(EDGE_PLACES, room, edges, count, by_path=way).origin
                for count in numbers
            ]
            by_number.plot(numbers, curve, color=NEUTRAL, lw=1.5, ls=dashes, label=f"{name}, formula")
        label = f"{'by path' if by_path else 'by turns'}, simulated"
        by_number.plot([shields], [100 * found.origin], "o", color=PREDICTED, ms=8, label=label)
        by_number.set(title="what reaches the origin", xlabel="number of shields", xticks=numbers)
        by_number.set(ylabel="share of all requests, %", xlim=(0.7, SHIELDS[1] + 0.3), ylim=(0, 80))
        by_number.legend(loc="lower left", fontsize=8)
    return figure


def _draw_tiers(panel: Axes, tiers: list[str], found: Shares, formula: Shares) -> None:
    places = range(len(tiers))
    panel.barh(places, [100 * share for share in found], height=0.5, color=PREDICTED, label="simulated")
    panel.plot(
        [100 * share for share in formula], places, "D", ms=7, mfc="white", mec=NEUTRAL, mew=1.5,
        ls="none", label="formula",
    )  # fmt: skip
    for place, share in enumerate(found):
        panel.annotate(
            f"{100 * share:.1f} %", (max(100 * share, 100 * formula[place]), place), (8, 0),
            textcoords="offset points", va="center", fontsize=8.5, color=NEUTRAL,
        )  # fmt: skip
    panel.set_yticks(places, tiers)
    panel.set(title="who answers?", xlabel="share of all requests, %", xlim=(0, 100))
    panel.set(ylim=(len(tiers) - 0.4, -0.6))
    panel.grid(axis="y", visible=False)
    panel.legend(loc="lower right", fontsize=8)
