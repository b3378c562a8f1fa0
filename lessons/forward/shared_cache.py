"""One cache for many users: its hit ratio, simulated and by a formula."""

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
from twin.plots.style import MEASURED, MEASURED_MARK, NEUTRAL, PREDICTED, PREDICTED_MARK, STYLE

PAGES = 2_000
"""Number of pages in the web of this lesson."""
EACH = 50
"""Number of requests of each user, one after the other."""
_THINK_S = 0.1
MOST_USERS = 100


def web_of_many(users: int, alike: float) -> Scenario:
    """A scenario: users behind one shared cache that has room for all pages.

    Parameters
    ----------
    users : int
        Number of users.
    alike : float
        Exponent of Zipf's law by which all users choose pages. At 0 all pages are equally likely, so two
        users seldom request the same page; at 1 a few pages get most of the requests.
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
    """The numbers of the pages that each user requests, in order; both twins use them."""
    workload = Workload(scenario)
    return [
        [request.object for request in islice(workload.stream(user), EACH)]
        for user in range(workload.streams)
    ]


@dataclass(frozen=True)
class Sharing:
    """Hit ratios of the same requests with one shared cache, and with private caches.

    Attributes
    ----------
    users, alike : int, float
        The parameters of `web_of_many`.
    shared : float
        Hit ratio of the shared cache, simulated.
    own : float
        Mean hit ratio of the private caches, without a proxy.
    """

    users: int
    alike: float
    shared: float
    own: float


def share(users: int = 40, alike: float = 0.9) -> Sharing:
    """Simulate a shared cache; results are cached."""
    return _shared(int(users), round(float(alike), 3))


@functools.lru_cache(maxsize=512)
def _shared(users: int, alike: float) -> Sharing:
    scenario = web_of_many(users, alike)
    hit_ratio = simulate(scenario, costs=Costs.zero()).summary.hit_ratio
    own = np.mean([1 - len(set(pages)) / len(pages) for pages in asked_by(scenario)])
    return Sharing(users, alike, hit_ratio or 0.0, float(own))


def expected_hit_ratio(requests: float, alike: float) -> float:
    """Expected hit ratio of an empty cache with room for all pages, after `requests` random requests.

    A page of popularity p is among n requests with probability ``1 - (1 - p)**n``. The first request for a
    page is a miss, all later ones are hits.
    """
    popularity = parse_popularity(f"zipf({alike:g})").probabilities(PAGES)
    distinct = np.sum(1 - (1 - popularity) ** requests)
    return float(1 - distinct / requests)


def figure_of_sharing(found: Sharing, measured: Mapping[int, float] | None = None) -> Figure:
    """Hit ratio by the number of users, and the number of requests that still reach the web."""
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins draw faster
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
    panel.axhline(found.own, color=NEUTRAL, lw=1, ls=":", label="private caches")
    panel.plot([found.users], [found.shared], PREDICTED_MARK, color=PREDICTED, ms=9, label="simulated")
    if measured:
        seen = list(measured), list(measured.values())
        panel.plot(*seen, MEASURED_MARK, color=MEASURED, ms=7, label="measured")
    panel.set(title="hit ratio", xlabel="users of one cache", xscale="log", ylim=(0, 1), xlim=(0.9, 115))
    panel.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    panel.legend(loc="upper left", fontsize=8, title="hit ratio", alignment="left")


def _draw_requests(panel: Axes, found: Sharing) -> None:
    shares = {"no cache": 1.0, "private caches": 1 - found.own, "shared cache": 1 - found.shared}
    colours = [NEUTRAL, NEUTRAL, PREDICTED]
    bars = panel.bar(list(shares), [EACH * share for share in shares.values()], color=colours, width=0.6)
    panel.bar_label(bars, fmt="%.0f", padding=2)
    panel.set(title="requests that reach the web, per user", ylim=(0, 1.15 * EACH))
    panel.grid(axis="x", visible=False)


def in_words(found: Sharing) -> str:
    """The figure as text."""
    return (
        f"{found.users} users, {EACH} pages each: a shared cache serves {found.shared:.0%} of the "
        f"requests, private caches serve {found.own:.0%}"
    )
