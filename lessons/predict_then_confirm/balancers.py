"""What the simulator foresees for each balancer when one server is slow, and its picture."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from lessons.predict_then_confirm.closed_loop import busy_share
from policies import Balancer, balancing_policies
from scenarios import Summary, load_scenario
from scenarios.loading import LoadedScenario
from simulator import simulate
from twin.plots.comparison import tail
from twin.plots.style import NEUTRAL, PREDICTED, STYLE

BALANCERS = ("round_robin", "random", "p2c", "least_requests")
SLOW_REPLICA = 3
BALANCE = "proxy.service.web.balance"
_DASHES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
_TIMES_MS, _P99_MS = (2.0, 8_000.0), (25.0, 8_000.0)
"""Axes stay as they are while a slider moves, so that what moves is the answer."""


def slow_server(
    users: int = 60,
    slowness: float = 3.0,
    balancers: Sequence[str] = BALANCERS,
    duration_s: float = 10.0,
    warmup_s: float | None = None,
) -> LoadedScenario:
    """The shipped scenario ``slow-server`` with other numbers in it, nearer to where a queue builds up.

    Parameters
    ----------
    users : int
        Closed users.
    slowness : float
        How many times slower replica 3 is than the others.
    balancers : sequence of str
        The variants.
    duration_s, warmup_s : float
        Length of a run, and what is cut off at its start (a fifth, if not given), in seconds.
    """
    changed = {
        "workload.users": users,
        "workload.think": "exponential(260ms)",
        "backend.web.concurrency": 4,
        "backend.web.slow": {str(SLOW_REPLICA): float(slowness)},
        "duration": f"{duration_s}s",
        "compare": {BALANCE: list(balancers)},
    }
    if warmup_s is not None:
        changed["warmup"] = f"{warmup_s}s"
    return load_scenario("slow-server", changed)


@dataclass(frozen=True)
class Outlook:
    """What the simulator foresees for one balancer.

    Attributes
    ----------
    balancer : str
        Its name.
    summary : Summary
        The figures.
    times : ndarray of float
        Response times in seconds, rising.
    slower : ndarray of float
        Share of requests that take longer than each of `times`.
    busy : dict of str to float
        Share of its slots that each replica keeps busy, by name.
    """

    balancer: str
    summary: Summary
    times: NDArray[np.float64]
    slower: NDArray[np.float64]
    busy: dict[str, float]

    @property
    def slow_share(self) -> float:
        """Share of the requests that the slow replica gets."""
        return self.summary.upstream_share[f"web/{SLOW_REPLICA}"]


def foresee(
    users: int = 60, slowness: float = 3.0, balancers: Sequence[str] = BALANCERS
) -> dict[str, Outlook]:
    """Simulate the slow server under each balancer; asked again, the answer is remembered.

    Returns
    -------
    dict of str to Outlook
        By the balancer's name, in the order given.
    """
    return {name: _outlook(users, float(slowness), name, balancing_policies[name]) for name in balancers}


@functools.lru_cache(maxsize=256)
def _outlook(users: int, slowness: float, name: str, _policy: type[Balancer]) -> Outlook:
    """The class is part of what is remembered by: a notebook cell may define the name anew."""
    scenario = slow_server(users, slowness, [name]).variants[0].scenario
    run = simulate(scenario).runs[0]
    times, slower = tail(run.records.within(scenario.window).response)
    return Outlook(name, run.summary, times, slower, busy_share(run, scenario))


def figure_of_balancers(outlooks: Mapping[str, Outlook], chosen: str | None = None) -> Figure:
    """Latency tails, p99 by balancer, and how busy each replica is under the chosen balancer.

    Parameters
    ----------
    outlooks : mapping of str to Outlook
        As `foresee` returns them.
    chosen : str, optional
        The balancer that stands out; the first by default.
    """
    chosen = chosen or next(iter(outlooks))
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins: fast, and steady
        figure = Figure(figsize=(11.0, 3.3))
        figure.subplots_adjust(left=0.085, right=0.985, top=0.91, bottom=0.15, wspace=0.42)
        tails, p99s, replicas = figure.subplots(1, 3, width_ratios=[1.25, 1.1, 0.8])
        _draw_tails(tails, outlooks, chosen)
        _draw_p99s(p99s, outlooks, chosen)
        _draw_replicas(replicas, outlooks[chosen])
    return figure


def _draw_tails(panel: Axes, outlooks: Mapping[str, Outlook], chosen: str) -> None:
    others = [name for name in outlooks if name != chosen]
    for name, dashes in zip([*others, chosen], [*_DASHES[: len(others)], "-"], strict=True):
        look = outlooks[name]
        style = {"lw": 2.6} if name == chosen else {"lw": 1.2, "ls": dashes, "alpha": 0.75}
        panel.plot(look.times * 1e3, look.slower, color=PREDICTED, label=name, **style)
    panel.set(xscale="log", yscale="log", xlim=_TIMES_MS, ylim=(1e-3, 1.2))
    panel.set_title("predicted share of requests that take longer")
    panel.set_yticks([1, 0.1, 0.01, 0.001], ["100 %", "10 %", "1 % (p99)", "0.1 %"])
    panel.set_xlabel("response time, ms")
    _plain_numbers(panel)
    panel.legend(loc="lower left", fontsize=7.5, handlelength=2.4)


def _draw_p99s(panel: Axes, outlooks: Mapping[str, Outlook], chosen: str) -> None:
    for place, (name, look) in enumerate(outlooks.items()):
        p99, strength = look.summary.p99_ms, 1.0 if name == chosen else 0.45
        panel.plot([_P99_MS[0], p99], [place, place], color=PREDICTED, lw=2, alpha=strength)
        panel.plot([p99], [place], "o", color=PREDICTED, ms=8, alpha=strength)
        panel.annotate(
            f"{p99:,.0f} ms", (p99, place), (0, 7), textcoords="offset points",
            ha="center", fontsize=8, color=NEUTRAL,
        )  # fmt: skip
    panel.set_yticks(range(len(outlooks)), list(outlooks))
    panel.set(title="predicted p99", xscale="log", xlim=_P99_MS, ylim=(len(outlooks) - 0.5, -0.7))
    panel.set_xlabel("response time, ms")
    panel.grid(axis="y", visible=False)
    _plain_numbers(panel)


def _draw_replicas(panel: Axes, look: Outlook) -> None:
    names = list(look.busy)
    panel.barh(names, [100 * look.busy[name] for name in names], height=0.6, color=PREDICTED)
    for place, name in enumerate(names):
        panel.annotate(
            f"{look.busy[name]:.0%}", (100 * look.busy[name], place), (3, 0), textcoords="offset points",
            va="center", fontsize=8, color=NEUTRAL,
        )  # fmt: skip
    panel.set(title=f"replicas under {look.balancer}", xlabel="slots busy, %", xlim=(0, 125))
    panel.set_xticks([0, 25, 50, 75, 100])
    panel.invert_yaxis()
    panel.grid(axis="y", visible=False)


def _plain_numbers(panel: Axes) -> None:
    """1,000 rather than a power of ten."""
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_locator(NullLocator())


def answered_in(outlooks: Mapping[str, Outlook], started: float) -> str:
    """How much was simulated, and how long that took since `started` (`time.perf_counter`)."""
    requests = sum(look.summary.requests for look in outlooks.values())
    return f"{requests:,} simulated requests, answered in {time.perf_counter() - started:.2f} s"
