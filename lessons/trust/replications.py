"""Repeated simulations of one server: the spread of their means, compared with the formula."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lessons.kit.simulation import simulated
from scenarios import load_scenario
from scenarios.loading import LoadedScenario
from simulator.statistics import Estimate, estimate
from twin.plots.style import NEUTRAL, PREDICTED, STYLE

SERVICE_S = 0.020
"""Mean service time of a request."""
RUNS = 10
_RESPONSE_MS = (10.0, 2_000.0)
"""Fixed axis: if a slider moves, only the dots move."""
_TICKS_MS = (10, 20, 50, 100, 200, 500, 1000, 2000)


def one_server(load: float = 0.8, duration_s: float = 20.0, **changes: object) -> LoadedScenario:
    """The shipped scenario ``hockey-stick`` at one load, without a warm-up.

    Parameters
    ----------
    load : float
        Share of the time in which the server is busy; at 1 or more the queue grows without end.
    duration_s : float
        Length of a run, in seconds.
    **changes
        More settings, with two underscores for each dot of a key: ``backend__web__service_time="20ms"``.
    """
    given = {key.replace("__", "."): value for key, value in changes.items()}
    return load_scenario(
        "hockey-stick",
        {
            "workload.rate": f"{load / SERVICE_S:g}/s",
            "duration": f"{duration_s}s",
            "warmup": "0s",
            "compare": {},
            **given,
        },
    )


@dataclass(frozen=True)
class Replicated:
    """Several runs of the same experiment, each with different random numbers.

    Attributes
    ----------
    load, duration_s : float
        The parameters of `one_server`.
    means : ndarray of float
        Mean response time of each run, in seconds.
    requests : int
        Number of requests in all runs together.
    """

    load: float
    duration_s: float
    means: NDArray[np.float64]
    requests: int

    @property
    def estimate(self) -> Estimate:
        """The mean of all runs, with its confidence interval."""
        return estimate(self.means)

    @property
    def theory(self) -> float:
        """Mean response time of an infinite run, in seconds: S / (1 - load)."""
        return SERVICE_S / (1 - self.load)


def repeat(load: float, duration_s: float, runs: int = RUNS) -> Replicated:
    """Simulate `runs` times, with different requests each time; results are cached."""
    return _repeated(round(float(load), 6), float(duration_s), runs)


@functools.lru_cache(maxsize=256)
def _repeated(load: float, duration_s: float, runs: int) -> Replicated:
    result = simulated(one_server(load, duration_s), runs)
    return Replicated(load, duration_s, result.values("mean_ms") / 1e3, result.summary.requests)


def figure_of_repetition(found: Replicated) -> Figure:
    """The mean of each run with the confidence interval, and the theoretical curve over all loads."""
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins draw faster
        figure = Figure(figsize=(10.0, 3.4))
        figure.subplots_adjust(left=0.075, right=0.985, top=0.91, bottom=0.15, wspace=0.25)
        runs, curve = figure.subplots(1, 2)
        _draw_runs(runs, found)
        _draw_curve(curve, found)
    return figure


def _draw_runs(panel: Axes, found: Replicated) -> None:
    low, high = (1e3 * edge for edge in found.estimate.interval)
    numbers = np.arange(1, len(found.means) + 1)
    panel.axhspan(max(low, _RESPONSE_MS[0]), high, color=PREDICTED, alpha=0.15, lw=0, label="95 % interval")
    panel.axhline(1e3 * found.theory, color=NEUTRAL, lw=1.5, ls="--", label="theory, infinite run")
    panel.plot(numbers, 1e3 * found.means, "o", color=PREDICTED, ms=7, label="one run")
    panel.set(title=f"{len(numbers)} runs of {found.duration_s:g} s", xlabel="run", yscale="log")
    panel.set(ylabel="mean response time, ms", ylim=_RESPONSE_MS, xlim=(0, len(numbers) + 1))
    _plain_numbers(panel)
    panel.legend(
        loc="upper right",
        fontsize=8,
        ncols=3,
        columnspacing=1.0,
        handletextpad=0.5,
        title="mean response time",
        alignment="left",
    )


def _draw_curve(panel: Axes, found: Replicated) -> None:
    loads = np.linspace(0.02, 0.98, 200)
    panel.plot(loads, 1e3 * SERVICE_S / (1 - loads), color=NEUTRAL, lw=1.5, ls="--")
    mean, half = 1e3 * found.estimate.mean, 1e3 * found.estimate.half_width
    below = min(half, mean - _RESPONSE_MS[0])  # the axis ends there
    panel.errorbar([found.load], [mean], [[max(below, 0.0)], [half]], fmt="o", color=PREDICTED, capsize=4)
    panel.set(title="service time / (1 - load)", xlabel="load", yscale="log", ylim=_RESPONSE_MS)
    panel.set(xlim=(0, 1), ylabel="mean response time, ms")
    _plain_numbers(panel)


def _plain_numbers(panel: Axes) -> None:
    panel.set_yticks(_TICKS_MS, [f"{tick:,}" for tick in _TICKS_MS])
    panel.minorticks_off()


def said(found: Replicated) -> str:
    """The interval as text, and whether the theoretical mean is inside."""
    low, high = (1e3 * edge for edge in found.estimate.interval)
    inside = "inside" if low <= 1e3 * found.theory <= high else "outside"
    return (
        f"{found.requests:,} simulated requests: mean {1e3 * found.estimate.mean:.0f} ms, 95 % interval "
        f"{max(low, 0):.0f} to {high:.0f} ms; theory, {1e3 * found.theory:.0f} ms, is {inside}"
    )
