"""Labels are not cut: every text of a figure lies inside it, and every text of a widget fits its space."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

from lessons.balancing import ServerPool, by_age, explore_pool, figure_of_age, figure_of_pool, simulate_pool
from lessons.both_at_once import explore_row, explore_shields
from lessons.both_at_once.figures import figure_of_row, figure_of_shields
from lessons.caching import (
    explore_capacity,
    explore_lifetimes,
    explore_stampede,
    explore_windows,
)
from lessons.caching.cache_size import figure_of_capacity
from lessons.caching.expiry_figures import figure_of_lifetimes, figure_of_pages, figure_of_stampede
from lessons.canary import explore_peeking, explore_rollback
from lessons.canary.figures import figure_of_peeking, figure_of_rollback
from lessons.forward import explore_sharing, share
from lessons.forward.shared_cache import figure_of_sharing
from lessons.ingress import explore_door, explore_rules
from lessons.ingress.rules import figure_of_rules
from lessons.ingress.shared_door import figure_of_door
from lessons.kit import simulated
from lessons.kit.progress_bars import NotebookBars
from lessons.microservices import explore_limits, explore_pages, explore_storm
from lessons.microservices.figures import figure_of_limits, figure_of_storm
from lessons.microservices.figures import figure_of_pages as figure_of_calls
from lessons.microservices.measured import figure_of_storms
from lessons.microservices.remedies import figure_of_remedies
from lessons.microservices.scenarios import STORMS, storm_runs
from lessons.not_only_http import all_ways, explore_ways
from lessons.not_only_http.figures import figure_of_measured_ways, figure_of_ways
from lessons.not_only_http.tunnel_model import WAYS
from lessons.predict_then_confirm import (
    BALANCERS,
    explore_balancers,
    figure_of_balancers,
    figure_of_throughput,
    simulate_balancers,
)
from lessons.proxy_or_vpn import explore_exposure, predict_cells
from lessons.trust import explore_runs, figure_of_repetition, one_server, repeat
from lessons.trust import plots as trust_plots
from simulator import simulate
from simulator.statistics import coordinated_omission

LONGEST_NAME = "weighted_round_robin"
"""The longest name of a balancer; a student may choose a longer one."""
EM_PX = 13.0
"""Size of the font of widgets in a notebook."""


def ways() -> Figure:
    first = {way: found.first_ms for way, found in all_ways(60, 20).items()}
    return figure_of_measured_ways(first, {way: [ms, ms + 1] for way, ms in first.items()})


def storms() -> Figure:
    outcomes: dict[str, Any] = {}
    for variant in storm_runs().variants:
        records = simulate(variant.scenario).records
        outcomes[variant.label] = SimpleNamespace(variant=variant, from_the_start=(records, records))
    return figure_of_storms({label: outcomes[label] for label in STORMS})


FIGURES: dict[str, Callable[[], Figure]] = {
    "balancers": lambda: figure_of_balancers(simulate_balancers(120, 8.0), "random"),
    "balancers, few users": lambda: figure_of_balancers(simulate_balancers(10, 1.0), "p2c"),
    "a balancer with a long name": lambda: figure_of_balancers(
        simulate_balancers(20, 3.0, [*BALANCERS, LONGEST_NAME]), LONGEST_NAME
    ),
    "an own balancer with a longer name": lambda: figure_of_balancers(
        {"my_very_own_balancer_that_knows_all": simulate_balancers(20, 3.0, ["p2c"])["p2c"]}
    ),
    "throughput": lambda: figure_of_throughput({10: 34.0, 80: 260.0, 150: 266.0}, 0.29, 266.7),
    "pool": lambda: figure_of_pool(simulate_pool(ServerPool(0.95, slow=5)), "p2c", load=0.8),
    "pool, low load": lambda: figure_of_pool(simulate_pool(ServerPool(0.3)), "random"),
    "age": lambda: figure_of_age([0, 10], by_age(ServerPool(0.9), [0, 10], ["p2c", "least_requests"])),
    "repetition": lambda: figure_of_repetition(repeat(0.95, 2)),
    "warm-up": lambda: trust_plots.warmup(simulated(one_server(1.2, 20)).warmup),
    "omission": lambda: trust_plots.omission(
        coordinated_omission(simulated(one_server(0.8, 20, workload__connections=1)).records)
    ),
    "sharing": lambda: figure_of_sharing(share(100, 1.4), {1: 0.2, 40: 0.6}),
    "ways": lambda: figure_of_ways(200, 200, 100, "SOCKS5, login"),
    "ways, near": lambda: figure_of_ways(0, 0, 1, "raw TCP"),
    "measured ways": ways,
    "capacity": lambda: figure_of_capacity(1, "fifo"),
    "capacity, large": lambda: figure_of_capacity(60, "w_tinylfu", ["lru", "w_tinylfu", "belady"]),
    "lifetimes": lambda: figure_of_lifetimes(20, 50),
    "stampede": lambda: figure_of_stampede(400, 0.5),
    "pages": lambda: figure_of_pages(0.2, 10),
    "a row": lambda: figure_of_row(400, 800),
    "a row, small": lambda: figure_of_row(20, 20),
    "shields": lambda: figure_of_shields(4, 4, 250, by_path=True),
    "shields, small": lambda: figure_of_shields(1, 1, 50, by_path=False),
    "rules": lambda: figure_of_rules(["pictures"], 1),
    "door": lambda: figure_of_door(60, 350),
    "door, quick": lambda: figure_of_door(5, 100),
    "rollback": lambda: figure_of_rollback(0.01, 0.002, 1.5, 50),
    "rollback, a disaster": lambda: figure_of_rollback(0.5, 0.05, 10, 1000),
    "peeking": lambda: figure_of_peeking(100, 0.05, 0.5),
    "calls": lambda: figure_of_calls(100, 0.05),
    "storm": lambda: figure_of_storm(95, 3.0, 1.5, 3, float("inf")),
    "storm, over": lambda: figure_of_storm(65, 0.2, 0.6, 3, 0.95),
    "remedies": figure_of_remedies,
    "storms": storms,
    "limits": lambda: figure_of_limits(0.6, 3.0, "no limit"),
    "exposure": lambda: explore_exposure().draw().figure,
    "cells": lambda: predict_cells().draw().figure,
}
EXPLORERS: dict[str, Callable[[], widgets.Widget]] = {
    "1": explore_balancers, "2": explore_pool, "3": explore_runs, "4": explore_sharing, "5": explore_ways,
    "6, capacity": explore_capacity, "6, lifetimes": explore_lifetimes, "6, stampede": explore_stampede,
    "6, windows": explore_windows, "10, row": explore_row,
    "10, shields": explore_shields, "7, rules": explore_rules, "7, door": explore_door,
    "8, rollback": explore_rollback, "8, peeking": explore_peeking, "11, cells": predict_cells,
    "11, exposure": explore_exposure,
    "9, pages": explore_pages, "9, storm": explore_storm, "9, limits": explore_limits,
}  # fmt: skip


@functools.cache
def drawn(name: str) -> Figure:
    return FIGURES[name]()


def labels(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """The texts that a reader sees, and where they are drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    hidden = {
        id(part)
        for panel in figure.axes
        for axis in (panel.xaxis, panel.yaxis)
        for tick in axis.get_major_ticks() + axis.get_minor_ticks()
        if not axis.get_view_interval().min() <= tick.get_loc() <= axis.get_view_interval().max()
        for part in tick.findobj(Text)
    }
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden:
            yield text.get_text(), text.get_window_extent(canvas.get_renderer())


@pytest.mark.parametrize("name", FIGURES)
def test_each_text_of_a_figure_lies_inside_it(name: str) -> None:
    figure = drawn(name)
    whole = figure.bbox.expanded(1.002, 1.002)
    cut = [
        text
        for text, box in labels(figure)
        if not (whole.contains(box.x0, box.y0) and whole.contains(box.x1, box.y1))
    ]
    assert cut == []


@pytest.mark.parametrize("name", FIGURES)
def test_the_names_at_an_axis_do_not_run_into_another_panel(name: str) -> None:
    figure = drawn(name)
    FigureCanvasAgg(figure).draw()
    boxes = [panel.get_window_extent() for panel in figure.axes]
    for panel, other in itertools.permutations(range(len(boxes)), 2):
        for label in figure.axes[panel].get_yticklabels():
            if label.get_text():
                assert not label.get_window_extent().overlaps(boxes[other]), label.get_text()


def width_em(text: str) -> float:
    """The width of a text in a font that is wider than those of browsers."""
    return (
        TextPath((0, 0), text, size=EM_PX, prop=FontProperties(family="DejaVu Sans")).get_extents().width
        / EM_PX
    )


@pytest.mark.parametrize("lesson", EXPLORERS)
def test_the_name_of_a_control_fits_the_space_before_it(lesson: str) -> None:
    controls = [child for child in EXPLORERS[lesson]().children if getattr(child, "description", "")]
    assert controls
    for control in controls:
        assert width_em(control.description) <= float(control.style.description_width.removesuffix("em"))


@pytest.mark.parametrize("name", ["calibrate", "simulate", "measure", "browsing", *WAYS])
def test_the_name_of_a_step_fits_the_space_before_its_bar(name: str) -> None:
    bars = NotebookBars()
    with bars.step(name, 1.0):
        pass
    label = bars.panel.children[0].children[0]
    assert width_em(name) <= float(label.layout.width.removesuffix("em"))
