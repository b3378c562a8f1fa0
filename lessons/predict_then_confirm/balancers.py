"""Simulations of each balancer with one slow server, and their figure."""

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

from lessons.kit.display import label_size
from lessons.kit.order import Order
from lessons.predict_then_confirm.closed_loop import busy_share
from policies import Balancer, balancing_policies
from scenarios import Summary, load_scenario
from scenarios.loading import LoadedScenario
from simulator import compare_paired, simulate
from twin.plots.comparison import tail
from twin.plots.labels import many_lines, name_lines_inside
from twin.plots.style import FAINT, NEUTRAL, PREDICTED, STYLE, highlighted

BALANCERS = ("round_robin", "random", "p2c", "least_requests")
LESSON_USERS = 90
"""Users of the lesson, with a replica that is three times slower: beyond the knee of `round_robin`."""
SLOW_REPLICA = 3
BALANCE = "proxy.service.web.balance"
_TIMES_MS, _P99_MS = (2.0, 8_000.0), (25.0, 8_000.0)
"""Fixed axes: if a slider moves, only the curves move."""


def slow_server(
    users: int = LESSON_USERS,
    slowness: float = 3.0,
    balancers: Sequence[str] = BALANCERS,
    duration_s: float = 10.0,
    warmup_s: float | None = None,
) -> LoadedScenario:
    """The shipped scenario ``slow-server`` with other numbers, closer to saturation.

    Parameters
    ----------
    users : int
        Users of the closed loop.
    slowness : float
        How many times slower replica 3 is than the others.
    balancers : sequence of str
        One variant for each.
    duration_s, warmup_s : float
        Length of a run and of its warm-up, in seconds; the default warm-up is a fifth of the run.
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
class BalancerResult:
    """The simulation of one balancer.

    Attributes
    ----------
    balancer : str
        Its name.
    summary : Summary
        The metrics of the run.
    times : ndarray of float
        Response times in seconds, in ascending order.
    slower : ndarray of float
        Share of requests that take longer than each of `times`.
    busy : dict of str to float
        The busy share of each replica's slots, by the replica's name.
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


def simulate_balancers(
    users: int = LESSON_USERS, slowness: float = 3.0, balancers: Sequence[str] = BALANCERS
) -> dict[str, BalancerResult]:
    """Simulate the slow server under each balancer; results are cached, by name, in the given order."""
    return {name: _simulated(users, float(slowness), name, balancing_policies[name]) for name in balancers}


@functools.lru_cache(maxsize=256)
def _simulated(users: int, slowness: float, name: str, _policy: type[Balancer]) -> BalancerResult:
    """The class is part of the cache's key, because a notebook cell may define the same name again."""
    scenario = slow_server(users, slowness, [name]).variants[0].scenario
    run = simulate(scenario).runs[0]
    times, slower = tail(run.records.within(scenario.window).response)
    return BalancerResult(name, run.summary, times, slower, busy_share(run, scenario))


def order_by_p99(
    users: int = LESSON_USERS, slowness: float = 3.0, balancers: Sequence[str] = BALANCERS, runs: int = 6
) -> Order:
    """The balancers, shortest simulated p99 first, and which of them can be told apart.

    Each of `runs` runs has other requests, but all balancers get the same ones. Two balancers can be told
    apart if the mean of their differences is larger than its uncertainty.
    """
    variants = slow_server(users, slowness, balancers).variants
    results = {variant.label: simulate(variant.scenario, runs) for variant in variants}
    means = {name: float(result.values("p99_ms").mean()) for name, result in results.items()}
    return Order.where(
        sorted(balancers, key=means.__getitem__),
        lambda one, other: compare_paired(results[one], results[other], "p99_ms").decided,
    )


def figure_of_balancers(results: Mapping[str, BalancerResult], chosen: str | None = None) -> Figure:
    """Latency tails, p99 by balancer, and the utilisation of each replica.

    Parameters
    ----------
    results : mapping of str to BalancerResult
        The results of `simulate_balancers`.
    chosen : str, optional
        The highlighted balancer; the first by default.
    """
    chosen = chosen or next(iter(results))
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins draw faster
        wide, between = (14.0, 1.0) if many_lines(len(results)) else (11.0, 0.57)  # room for the names
        figure = Figure(figsize=(wide, 3.3))
        figure.subplots_adjust(left=0.085, right=0.985, top=0.91, bottom=0.15, wspace=between)
        tails, p99s, replicas = figure.subplots(1, 3, width_ratios=[1.25, 1.1, 0.8])
        _draw_tails(tails, results, chosen)
        _draw_p99s(p99s, results, chosen)
        _draw_replicas(replicas, results[chosen])
    return figure


def _draw_tails(panel: Axes, results: Mapping[str, BalancerResult], chosen: str) -> None:
    for name, style in highlighted(list(results), chosen):
        look = results[name]
        panel.plot(look.times * 1e3, look.slower, color=PREDICTED, label=name, **style)
    panel.set(xscale="log", yscale="log", xlim=_TIMES_MS, ylim=(1e-3, 1.2))
    panel.set_title("predicted share of requests that take longer")
    panel.set_yticks([1, 0.1, 0.01, 0.001], ["100 %", "10 %", "1 % (p99)", "0.1 %"])
    panel.set_xlabel("response time, ms")
    _plain_numbers(panel)
    name_lines_inside(panel, "balancer", loc="lower left", fontsize=7.5, handlelength=2.4)


def _draw_p99s(panel: Axes, results: Mapping[str, BalancerResult], chosen: str) -> None:
    for place, (name, look) in enumerate(results.items()):
        p99, strength = look.summary.p99_ms, 1.0 if name == chosen else FAINT
        panel.plot([_P99_MS[0], p99], [place, place], color=PREDICTED, lw=2, alpha=strength)
        panel.plot([p99], [place], "o", color=PREDICTED, ms=8, alpha=strength)
        panel.annotate(
            f"{p99:,.0f} ms", (p99, place), (0, 7), textcoords="offset points",
            ha="center", fontsize=8, color=NEUTRAL,
        )  # fmt: skip
    panel.set_yticks(range(len(results)), list(results), fontsize=label_size(results))
    panel.set(title="predicted p99", xscale="log", xlim=_P99_MS, ylim=(len(results) - 0.5, -0.7))
    panel.set_xlabel("response time, ms")
    panel.grid(axis="y", visible=False)
    _plain_numbers(panel)


def _draw_replicas(panel: Axes, look: BalancerResult) -> None:
    names = list(look.busy)
    panel.barh(names, [100 * look.busy[name] for name in names], height=0.6, color=PREDICTED)
    for place, name in enumerate(names):
        panel.annotate(
            f"{look.busy[name]:.0%}", (100 * look.busy[name], place), (3, 0), textcoords="offset points",
            va="center", fontsize=8, color=NEUTRAL,
        )  # fmt: skip
    title = f"replicas under {look.balancer}"
    panel.set_title(title, fontsize=label_size([title], room=24, points=10.0))
    panel.set(xlabel="slots busy, %", xlim=(0, 125))
    panel.set_xticks([0, 25, 50, 75, 100])
    panel.invert_yaxis()
    panel.grid(axis="y", visible=False)


def _plain_numbers(panel: Axes) -> None:
    """Ticks such as 1,000 instead of powers of ten."""
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_locator(NullLocator())


def answered_in(results: Mapping[str, BalancerResult], started: float) -> str:
    """The number of simulated requests, and the seconds since `started` (`time.perf_counter`)."""
    requests = sum(look.summary.requests for look in results.values())
    return f"{requests:,} simulated requests in {time.perf_counter() - started:.2f} s"
