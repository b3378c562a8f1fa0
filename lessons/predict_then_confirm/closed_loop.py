"""The closed loop: what a simulated run shows of the quantities that queueing theory predicts."""

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
    """Share of its slots that each replica kept busy, averaged over the time that counts.

    Parameters
    ----------
    run : Run
        A simulated run; its queues tell how many requests were waiting or in service.
    scenario : Scenario
        How many slots a replica has, and which part of the run counts.
    """
    shares = {}
    for name in scenario.replicas:
        slots = scenario.backend[name.rpartition("/")[0]].concurrency
        inside = run.queues[name]
        in_service = Series(inside.times, np.minimum(inside.values, slots))
        shares[name] = in_service.mean(scenario.window) / slots
    return shares


def throughput_by_users(scenario: Scenario, users: Sequence[int]) -> dict[int, float]:
    """Simulated answers per second for each number of users."""
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
        Users, and answers per second.
    delay_s : float
        Seconds that one user's round takes when nobody waits: think time and work.
    capacity_rps : float
        What the bottleneck can do at most.

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
        panel.legend(loc="lower right")
    return figure
