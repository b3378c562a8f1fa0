"""The closed loop: utilisation and throughput of simulated runs, to compare with queueing theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from scenarios import Scenario
from simulator import simulate
from simulator.result import Run
from simulator.series import Series
from twin.plots.style import NEUTRAL, PREDICTED, STYLE


def busy_share(run: Run, scenario: Scenario) -> dict[str, float]:
    """The busy share of each replica's slots, averaged over the scenario's window, after the warm-up."""
    shares = {}
    for name in scenario.replicas:
        slots = scenario.backend[name.rpartition("/")[0]].concurrency
        inside = run.queues[name]
        in_service = Series(inside.times, np.minimum(inside.values, slots))
        shares[name] = in_service.mean(scenario.window) / slots
    return shares


def throughput_by_users(scenario: Scenario, users: Sequence[int]) -> dict[int, float]:
    """Simulated responses per second for each number of users."""
    found = {}
    for number in users:
        workload = scenario.workload.model_copy(update={"users": number})
        found[number] = simulate(scenario.model_copy(update={"workload": workload})).summary.throughput_rps
    return found


def figure_of_throughput(simulated: Mapping[int, float], delay_s: float, capacity_rps: float) -> Figure:
    """Simulated throughput by number of users, under the two bounds of a closed loop.

    Parameters
    ----------
    simulated : mapping of int to float
        Responses per second by number of users.
    delay_s : float
        Seconds of one cycle of a user when nothing queues: think time and service time.
    capacity_rps : float
        The highest throughput that the bottleneck allows, in responses per second.

    Notes
    -----
    ``X <= min(N / delay, capacity)``: P. Denning and J. Buzen, "The operational analysis of queueing
    network models", ACM Computing Surveys 10(3), 1978.
    """
    most = max(simulated)
    knee = capacity_rps * delay_s
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 3.2))
        panel = figure.subplots()
        users = np.array([0.0, min(knee, most), most])
        panel.plot(users, np.minimum(users / delay_s, capacity_rps), color=NEUTRAL, lw=1.5, label="bound")
        if knee < most:
            panel.annotate(
                f"knee: {knee:.0f} users", (knee, capacity_rps), (0, 8), textcoords="offset points",
                ha="center", fontsize=9, color=NEUTRAL,
            )  # fmt: skip
        panel.plot(list(simulated), list(simulated.values()), "o", color=PREDICTED, label="simulated")
        panel.set(xlabel="users", ylabel="throughput, requests/s", xlim=(0, None))
        panel.set_ylim(0, 1.25 * max(min(capacity_rps, most / delay_s), *simulated.values()))
        panel.legend(loc="lower right", title="throughput", alignment="left")
    return figure
