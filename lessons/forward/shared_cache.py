"""One cache for many users: what sharing adds, simulated and by a formula."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from scenarios import Scenario, load_scenario
from scenarios.distributions import parse_popularity
from scenarios.workload import Workload
from simulator import Costs, simulate
from twin.plots.style import MEASURED, NEUTRAL, PREDICTED, STYLE

PAGES = 2_000
"""Pages of the small web of this lesson."""
EACH = 50
"""Pages that every user asks for, one after the other."""
_THINK_S = 0.1
MOST_USERS = 100


def web_of_many(users: int, alike: float) -> Scenario:
    """Users behind one shared cache that never runs out of room.

    Parameters
    ----------
    users : int
        How many.
    alike : float
        Exponent of Zipf's law by which all of them choose pages: at 0 every page is as likely as any
        other, so that two users seldom meet; at 1 everybody wants the same few.
    """
    changed = {
        "workload.users": users,
        "workload.think": f"exponential({_THINK_S}s)",
        "workload.objects": PAGES,
        "workload.popularity": f"zipf({alike:g})",
        "workload.size": "2KiB",
        "backend.origin.service_time": "1ms",
        "proxy.cache.capacity": "1GiB",
        "duration": f"{EACH * _THINK_S:g}s",
        "warmup": "0s",
        "compare": {},
    }
    return load_scenario("small-cache", changed).variants[0].scenario


def asked_by(scenario: Scenario) -> list[list[int]]:
    """The numbers of the pages that each user asks for, in order: the same ones in both worlds."""
    workload = Workload(scenario)
    return [
        [request.object for request in islice(workload.stream(user), EACH)]
        for user in range(workload.streams)
    ]


@dataclass(frozen=True)
class Sharing:
    """What becomes of the same requests with one cache for all, and with one for each.

    Attributes
    ----------
    users, alike : int, float
        The experiment, as for `web_of_many`.
    shared : float
        Hit ratio of one cache for all, simulated.
    own : float
        Hit ratio of caches of their own, without any proxy.
    """

    users: int
    alike: float
    shared: float
    own: float


def share(users: int = 40, alike: float = 0.9) -> Sharing:
    """Simulate one cache for all; asked again, the answer is remembered."""
    return _shared(int(users), round(float(alike), 3))


@functools.lru_cache(maxsize=512)
def _shared(users: int, alike: float) -> Sharing:
    scenario = web_of_many(users, alike)
    hit_ratio = simulate(scenario, costs=Costs.zero()).summary.hit_ratio
    own = np.mean([1 - len(set(pages)) / len(pages) for pages in asked_by(scenario)])
    return Sharing(users, alike, hit_ratio or 0.0, float(own))


def expected_hit_ratio(requests: float, alike: float) -> float:
    """Hit ratio of an empty cache with room for everything, after so many requests by chance.

    A page of popularity p has been asked for at least once with probability ``1 - (1 - p)**n``; each
    page's first request is a miss, and all later ones are hits.
    """
    popularity = parse_popularity(f"zipf({alike:g})").probabilities(PAGES)
    distinct = np.sum(1 - (1 - popularity) ** requests)
    return float(1 - distinct / requests)


def figure_of_sharing(found: Sharing, measured: Mapping[int, float] | None = None) -> Figure:
    """Hit ratio over the number of users, and how many requests still reach the web."""
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins: fast, and steady
        figure = Figure(figsize=(10.0, 3.4))
        figure.subplots_adjust(left=0.08, right=0.985, top=0.91, bottom=0.15, wspace=0.25)
        ratios, asked = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_ratios(ratios, found, measured or {})
        _draw_requests(asked, found)
    return figure


def _draw_ratios(panel: Axes, found: Sharing, measured: Mapping[int, float]) -> None:
    users = np.geomspace(1, MOST_USERS, 60)
    curve = [expected_hit_ratio(number * EACH, found.alike) for number in users]
    panel.plot(users, curve, color=NEUTRAL, lw=1.5, ls="--", label="formula")
    panel.axhline(found.own, color=NEUTRAL, lw=1, ls=":", label="a cache of one's own")
    panel.plot([found.users], [found.shared], "o", color=PREDICTED, ms=9, label="simulated")
    if measured:
        panel.plot(list(measured), list(measured.values()), "D", color=MEASURED, ms=7, label="measured")
    panel.set(title="hit ratio", xlabel="users of one cache", xscale="log", ylim=(0, 1), xlim=(0.9, 115))
    panel.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    panel.legend(loc="upper left", fontsize=8)


def _draw_requests(panel: Axes, found: Sharing) -> None:
    shares = {"no cache": 1.0, "own caches": 1 - found.own, "one for all": 1 - found.shared}
    colours = [NEUTRAL, NEUTRAL, PREDICTED]
    bars = panel.bar(list(shares), [EACH * share for share in shares.values()], color=colours, width=0.6)
    panel.bar_label(bars, fmt="%.0f", padding=2)
    panel.set(title="requests that reach the web, per user", ylim=(0, 1.15 * EACH))
    panel.grid(axis="x", visible=False)


def in_words(found: Sharing) -> str:
    """What the picture shows."""
    return (
        f"{found.users} users, {EACH} pages each: one cache for all answers {found.shared:.0%} of the "
        f"requests, caches of their own {found.own:.0%}"
    )
