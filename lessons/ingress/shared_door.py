"""Three services behind one door: the shipped scenario `one-door`, its formulas and its figure."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import exp, log

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scenarios.loading import LoadedScenario, load_scenario
from scenarios.records import Records
from simulator import Costs, simulate
from twin.plots.style import NEUTRAL, PREDICTED, STYLE

SERVICES = ("shop", "cart", "pictures")
SHARES = {"shop": 0.4, "cart": 0.3, "pictures": 0.3}
"""The share of the requests that each service gets, by the last digit of the object's number."""
RATE_RPS, QUIET_MS, BUSY_MS = 300, 15, 60
"""Requests per second at the door, and the mean work of a request at the cart, quiet and busy."""
SLOTS = 8
_CART = "backend.cart.service_time"
RATES = (100, 350, 50)
CART_MS = (5, 65, 5)
"""Minimum, maximum, step of the sliders; the axes are fixed."""
_TIMES_MS = (0.0, 130.0)


def one_door(
    cart_ms: float = BUSY_MS, rate: float = RATE_RPS, duration_s: float = 10.0, warmup_s: float = 1.0
) -> LoadedScenario:
    """The shipped scenario ``one-door`` with one variant."""
    changes = {
        "workload.rate": f"{rate:g}/s",
        "duration": f"{duration_s}s",
        "warmup": f"{warmup_s}s",
        "compare": {_CART: [f"exponential({cart_ms:g}ms)"]},
    }
    return load_scenario("one-door", changes)


def door_runs(duration_s: float = 4.0, warmup_s: float = 0.8) -> LoadedScenario:
    """Two variants, a few seconds each: a quiet cart, and a busy one."""
    changes = {
        "duration": f"{duration_s}s",
        "warmup": f"{warmup_s}s",
        "compare": {_CART: [f"exponential({ms}ms)" for ms in (QUIET_MS, BUSY_MS)]},
    }
    return load_scenario("one-door", changes)


def times_ms(records: Records) -> dict[str, float]:
    """The mean response time of each service, and of ``all`` requests.

    Hits of the cache count for the pictures, whose requests they are.
    """
    service = np.array([name.partition("/")[0] for name in records.upstreams] + ["pictures"])
    whose, response = service[records.upstream], 1e3 * records.response  # a hit has the upstream -1
    means = {name: float(response[whose == name].mean()) for name in SERVICES}
    return means | {"all": float(response.mean())}


@dataclass(frozen=True)
class Door:
    """What the simulation of the door says.

    Attributes
    ----------
    mean_ms : dict of str to float
        Mean response time of each service, and of ``all`` requests.
    hit_ratio : float
        Share of the pictures' requests that the cache answers.
    inside : float
        Requests that are inside, on average over the window.
    rate : float
        Requests per second in the window.
    """

    mean_ms: dict[str, float]
    hit_ratio: float
    inside: float
    rate: float


@functools.lru_cache(maxsize=128)
def simulated_door(cart_ms: float = BUSY_MS, rate: float = RATE_RPS, duration_s: float = 10.0) -> Door:
    """Simulate the door, with a proxy and a network that cost nothing."""
    scenario = one_door(cart_ms, rate, duration_s).variants[0].scenario
    run = simulate(scenario, costs=Costs.zero()).runs[0]
    begin, end = scenario.window
    inside = run.records.within(scenario.window)
    pictures = inside.object % 10 >= 7
    return Door(
        times_ms(inside),
        float(inside.hit[pictures].mean()),
        run.queues["proxy"].mean(scenario.window),
        len(inside) / (end - begin),
    )


def erlang_c(offered: float, slots: int) -> float:
    """The share of the requests that must wait for a slot (A. K. Erlang, 1917).

    Parameters
    ----------
    offered : float
        Requests per second times seconds of work: the slots that are busy on average.
    slots : int
        More than `offered`.
    """
    if not offered:
        return 0.0
    logs = np.concatenate(([0.0], np.cumsum(log(offered) - np.log(np.arange(1.0, slots + 1)))))
    waiting = exp(logs[-1]) * slots / (slots - offered)
    return waiting / (float(np.exp(logs[:-1]).sum()) + waiting)


def mean_ms(rate: float, work_ms: float, slots: int) -> float:
    """Mean response time of M/M/c: random arrivals, exponential work; infinite if overloaded.

    Parameters
    ----------
    rate : float
        Requests per second.
    work_ms : float
        Mean work of one request.
    slots : int
        Requests in service at once.
    """
    offered = rate * work_ms / 1e3
    if offered >= slots:
        return float("inf")
    return work_ms * (1.0 + erlang_c(offered, slots) / (slots - offered))


def expected_ms(service: str, cart_ms: float, rate: float) -> float:
    """The formula for the shop and the cart, each as if it were alone in the world.

    The shop has two replicas. Two independent halves bound its time from above, because its balancer, `p2c`,
    does better than chance.
    """
    own = rate * SHARES[service]
    return mean_ms(own, cart_ms, SLOTS) if service == "cart" else mean_ms(own / 2, QUIET_MS, SLOTS)


def figure_of_door(cart_ms: float, rate: float) -> Figure:
    """Mean response time of each service, by the work of a request at the cart; and their busy slots."""
    found = simulated_door(cart_ms, rate)
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):  # fixed margins draw faster
        figure = Figure(figsize=(10.0, 3.3))
        figure.subplots_adjust(left=0.075, right=0.985, top=0.91, bottom=0.15, wspace=0.25)
        by_work, now = figure.subplots(1, 2)
        _draw_by_work(by_work, found, cart_ms, rate)
        _draw_services(now, found)
    return figure


def _draw_by_work(panel: Axes, found: Door, cart_ms: float, rate: float) -> None:
    places = np.linspace(CART_MS[0], CART_MS[1], 111)
    for service, dashes in (("cart", "--"), ("shop", ":")):
        times = [expected_ms(service, place, rate) for place in places]
        panel.plot(places, times, color=NEUTRAL, lw=1.5, ls=dashes, label=f"{service}, formula")
    for service, label in (("cart", "simulated"), ("shop", None)):
        panel.plot([cart_ms], [found.mean_ms[service]], "o", color=PREDICTED, ms=8, label=label)
    panel.set(title="cart and shop", xlabel="work of a request at the cart, ms")
    panel.set(ylabel="mean response time, ms", xlim=(0, CART_MS[1] + 2), ylim=_TIMES_MS)
    panel.legend(loc="upper left", title="mean", alignment="left", fontsize=8)


def _draw_services(panel: Axes, found: Door) -> None:
    names = [*SERVICES, "all"]
    values = [found.mean_ms[name] for name in names]
    panel.barh(range(len(names)), values, height=0.55, color=PREDICTED)
    for place, value in enumerate(values):
        panel.annotate(
            f"{value:.1f} ms", (min(value, _TIMES_MS[1]), place), (4, 0), textcoords="offset points",
            va="center", fontsize=8.5, color=NEUTRAL,
        )  # fmt: skip
    panel.set_yticks(range(len(names)), names)
    panel.set(title="who waits?", xlabel="mean response time, ms", xlim=(0, _TIMES_MS[1] * 1.2))
    panel.set(ylim=(len(names) - 0.5, -0.5))
    panel.grid(axis="y", visible=False)
