"""The rules of all pictures, on every figure that the product makes: those of sweeps, reports and lessons."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import Affine2D

from lessons.balancing.figures import figure_of_age, figure_of_pool
from lessons.balancing.server_pool import ServerPool, simulate_pool
from lessons.caching.cache_size import figure_of_capacity
from lessons.caching.expiry_figures import figure_of_lifetimes, figure_of_pages, figure_of_stampede
from lessons.canary.figures import figure_of_peeking, figure_of_rollback
from lessons.forward.shared_cache import figure_of_sharing, share
from lessons.ingress.rules import figure_of_rules
from lessons.ingress.shared_door import figure_of_door
from lessons.microservices.figures import figure_of_limits, figure_of_storm
from lessons.microservices.figures import figure_of_pages as figure_of_calls
from lessons.microservices.measured import figure_of_storms
from lessons.microservices.remedies import figure_of_remedies
from lessons.microservices.scenarios import STORMS, storm_runs
from lessons.not_only_http.figures import figure_of_measured_ways, figure_of_ways
from lessons.not_only_http.tunnel_model import WAYS
from lessons.predict_then_confirm.balancers import figure_of_balancers, simulate_balancers
from lessons.predict_then_confirm.closed_loop import figure_of_throughput
from lessons.proxy_or_vpn import explore_exposure, predict_cells
from lessons.trust import figure_of_repetition, plots, repeat
from scenarios import load_scenario
from simulator import simulate
from simulator.statistics import mser5_of_records
from simulator.statistics.omission import Omission
from twin.exposure import Exposure, Way
from twin.exposure.model import modelled
from twin.exposure.picture import figure_of_exposure
from twin.exposure.vocabulary import visits_of
from twin.plots import comparison
from twin.plots.labels import MOST_IN_A_LEGEND
from twin.plots.style import MEASURED, MEASURED_MARK, PREDICTED, PREDICTED_MARK
from twin.sweeps.plots import figure_against, heat_map, hit_ratio_curves

BALANCERS = [
    "round_robin", "random", "p2c", "least_requests", "weighted_round_robin", "bounded_ring_hash",
    "rendezvous_hash", "join_idle_queue", "peak_ewma", "prequal",
]  # fmt: skip
BALANCE, USERS, RATE = "proxy.service.web.balance", "workload.users", "workload.rate"
CAPACITY = "proxy.cache.capacity"


def swept(keys: dict[str, list[Any]], unsettled: Callable[[Any], bool] = lambda _: False) -> pd.DataFrame:
    """A table as a sweep makes it; what never settles has times a thousand times as long."""
    index = pd.MultiIndex.from_product([*keys.values(), range(3)], names=[*keys, "replication"])
    table = index.to_frame(index=False)
    values = np.arange(len(table)) + np.random.default_rng(1).random(len(table))
    growing = table.apply(unsettled, axis=1)
    table["p99_ms"] = values * np.where(growing, 1000.0, 1.0)
    table["throughput_rps"], table["hit_ratio"] = values, values / len(table)
    return table.assign(error="", unsettled=np.where(growing, "it grows", ""))


def curves(policies: int) -> pd.DataFrame:
    ratios = np.sort(np.random.default_rng(2).random((policies, 4)) * 0.3 + 0.4)
    rows = [(f"policy_{i}", 4 ** (8 + j), ratios[i, j]) for i in range(policies) for j in range(4)]
    table = pd.DataFrame(rows, columns=["policy", "capacity_bytes", "hit_ratio"])
    byte_hits = table["hit_ratio"] * 0.8
    return table.assign(hit_ratio_error=0.01, byte_hit_ratio=byte_hits, byte_hit_ratio_error=0.01)


@cache
def four_runs() -> tuple[list[str], list[Any]]:
    """Labels with long keys, and a run of each of four variants."""
    loaded = load_scenario("slow-server", {"duration": "2s", "warmup": "0s"})
    runs = [simulate(variant.scenario).runs[0] for variant in loaded.variants]
    labels = [f"proxy.service.web.balance={variant.label}, workload.users=100" for variant in loaded.variants]
    return labels, runs


def of_confirmation(unsettled: bool) -> dict[str, Figure]:
    labels, runs = four_runs()
    figures, rows = [run.summary for run in runs], [run.records for run in runs]
    never = labels[1:2] if unsettled else []
    if unsettled:
        figures[1] = replace(figures[1], p50_ms=9e5, p95_ms=9e5, p99_ms=9e5)
    return {
        "tails": comparison.latency_distributions(labels, rows, rows, never),
        "percentiles": comparison.percentiles_by_variant(labels, figures, figures, never),
        "hits": comparison.hits_by_variant(labels, figures, figures),
        "shares": comparison.shares_by_variant(labels, figures, figures),
        "queues": comparison.queue_lengths({n: (s.times, s.values) for n, s in runs[0].queues.items()}),
    }


def of_sweeps() -> dict[str, Figure]:
    ten, three = ({RATE: ["10/s", "190/s", "200/s"], BALANCE: BALANCERS[:many]} for many in (10, 3))
    two_keys = {BALANCE: BALANCERS[:3], "backend.web.replicas": [2, 4]}
    sizes = {CAPACITY: ["60KiB", "64KiB", "1GiB"], "proxy.cache.policy": ["lru"]}
    grid = swept({BALANCE: BALANCERS, USERS: [10, 99]}, lambda row: row[USERS] == 99)
    return {
        "names": figure_against(swept({BALANCE: BALANCERS}), BALANCE),
        "names and replicas": figure_against(swept(two_keys, lambda row: row[BALANCE] == "p2c"), BALANCE),
        "rates of ten": figure_against(swept(ten, lambda row: row[RATE] == "200/s"), RATE),
        "rates of three": figure_against(swept(three, lambda row: row[RATE] == "200/s"), RATE),
        "capacities": figure_against(swept(sizes), CAPACITY, "hit_ratio"),
        "map": heat_map(grid, BALANCE, USERS),
        "curves of five": hit_ratio_curves(curves(5)),
        "curves of sixteen": hit_ratio_curves(curves(16)),
    }  # fmt: skip


def storms() -> dict[str, Any]:
    """Outcomes of lesson 9 in which the prediction came true to the last request."""
    found: dict[str, Any] = {}
    for variant in storm_runs().variants:
        records = simulate(variant.scenario).records
        found[variant.label] = SimpleNamespace(variant=variant, from_the_start=(records, records))
    return {label: found[label] for label in STORMS}


def exposed(*, measured: bool, ways: tuple[Way, ...] = tuple(Way)) -> Exposure:
    """The whole table of who sees what, by the model."""
    found = {visit: replace(modelled(visit), measured=measured) for visit in visits_of(ways)}
    return Exposure(ways, True, found, {})


def of_lessons() -> dict[str, Figure]:
    _, (run, *_) = four_runs()
    late, slow = np.linspace(0.02, 4.0, 500), np.linspace(0.02, 0.03, 500)
    times = {way: 60.0 + 20 * number for number, way in enumerate(WAYS)}
    many = ("round_robin", "random", "p2c", "least_requests", "join_idle_queue", "peak_ewma", "prequal")
    pool = simulate_pool(ServerPool(0.95, 0.0, 5.0, "uneven"))
    return {
        "1: balancers": figure_of_balancers(simulate_balancers(60, 3.0), "p2c"),
        "1: crowded": figure_of_balancers(simulate_balancers(120, 8.0), "random"),
        "1: seven balancers": figure_of_balancers(simulate_balancers(20, 3.0, many), "p2c"),
        "1: throughput": figure_of_throughput({10: 30.0, 60: 180.0, 100: 200.0}, 0.33, 200.0),
        "2: pool": figure_of_pool(pool, "p2c", 0.95),
        "2: age": figure_of_age([0.0, 2.0, 10.0], {name: [1.0, 2.0, 4.0] for name in many}),
        "3: runs": figure_of_repetition(repeat(0.95, 12)),
        "3: warm-up": plots.warmup(mser5_of_records(run.records)),
        "3: omission": plots.omission(Omission(late, slow)),
        "4: sharing": figure_of_sharing(share(), {1: 0.2, 40: 0.6}),
        "5: ways": figure_of_ways(200, 200, 10, "SOCKS5"),
        "5: measured": figure_of_measured_ways(times, {way: [ms + 2, ms - 1] for way, ms in times.items()}),
        "6: capacity": figure_of_capacity(20, "lru"),
        "6: seven policies": figure_of_capacity(
            20, "lru", ("fifo", "lru", "sieve", "lfu", "s3_fifo", "clock", "gdsf")
        ),
        "6: lifetimes": figure_of_lifetimes(4, 20),
        "6: stampede": figure_of_stampede(200, 0.2),
        "6: windows": figure_of_pages(1.0, 1),
        "7: rules": figure_of_rules(["moved"], 2),
        "7: door": figure_of_door(60, 300),
        "8: rollback": figure_of_rollback(0.05, 0.01, 3.0, 300),
        "8: peeking": figure_of_peeking(100, 0.01, 0.05),
        "9: pages": figure_of_calls(10, 0.01),
        "9: storm": figure_of_storm(65, 0.2, 0.6, 3, 0.95),
        "9: remedies": figure_of_remedies(),
        "9: storms": figure_of_storms(storms()),
        "9: limits": figure_of_limits(0.6, 3.0, "vegas"),
        "11: cells": predict_cells().draw().figure,
        "11: exposure": explore_exposure().draw().figure,
        "exposure, modelled": figure_of_exposure(exposed(measured=False)),
        "exposure, measured": figure_of_exposure(exposed(measured=True)),
        "exposure, two ways": figure_of_exposure(exposed(measured=False, ways=(Way.CONNECT, Way.VPN))),
        "exposure, one way": figure_of_exposure(exposed(measured=False, ways=(Way.VPN,))),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    settled = {f"report: {name}": one for name, one in of_confirmation(False).items()}
    growing = {f"overload: {name}": one for name, one in of_confirmation(True).items()}
    found = {**settled, **growing, **of_sweeps(), **of_lessons()}
    for figure in found.values():
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return found


def panels(figure: Figure) -> list[Axes]:
    return [panel for panel in figure.axes if panel.get_visible() and panel.axison]


def legends(figure: Figure) -> list[Legend]:
    return [*figure.legends, *(one for panel in panels(figure) if (one := panel.get_legend()) is not None)]


def tick_labels(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1 for tick in ticks if tick.label1.get_visible() and tick.label1.get_text().strip()]


def texts(figure: Figure) -> Iterator[Text]:
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            yield text


def shown_texts(figure: Figure) -> list[Text]:
    """All texts that are drawn: not those of ticks outside their panel."""
    of_ticks = [tick for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)
                for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())]  # fmt: skip
    hidden = {label for tick in of_ticks for label in (tick.label1, tick.label2)}
    hidden |= {text for panel in figure.axes if not panel.get_visible() for text in panel.findobj(Text)}
    axes = [axis for panel in panels(figure) for axis in (panel.xaxis, panel.yaxis)]
    seen = {label for axis in axes for label in tick_labels(axis)}
    return [text for text in texts(figure) if text not in hidden or text in seen]


def outline(text: Text) -> Path:
    """The rectangle around a text, turned as the text is."""
    angle, text_mode = text.get_rotation(), text.get_rotation_mode()
    if not angle:
        box = text.get_window_extent()
        return Path(box.corners()[[0, 1, 3, 2, 0]])
    text.set(rotation=0, rotation_mode="anchor")
    box = text.get_window_extent()
    text.set(rotation=angle, rotation_mode=text_mode)
    anchor = text.get_transform().transform(text.get_position())
    turned = Affine2D().rotate_deg_around(*anchor, angle)
    return Path(box.corners()[[0, 1, 3, 2, 0]]).transformed(turned)


def test_labels_of_ticks_never_cover_each_other(figures: dict[str, Figure]) -> None:
    covered = [
        (name, one.get_text(), other.get_text())
        for name, figure in figures.items()
        for panel in panels(figure)
        for axis in (panel.xaxis, panel.yaxis)
        for one, other in itertools.pairwise(tick_labels(axis))
        if outline(one).intersects_path(outline(other), filled=True)
    ]
    assert not covered


def test_labels_that_cover_each_other_are_found() -> None:
    figure = Figure(figsize=(3, 2))
    panel = figure.subplots()
    panel.set_xticks(range(8), ["round_robin"] * 8)
    FigureCanvasAgg(figure)
    for rotation, found in ((0, True), (90, False), (10, True)):
        panel.tick_params(axis="x", labelrotation=rotation)
        figure.draw_without_rendering()
        one, other, *_ = tick_labels(panel.xaxis)
        assert outline(one).intersects_path(outline(other), filled=True) == found, rotation


def test_no_text_covers_another_one_or_is_cut(figures: dict[str, Figure]) -> None:
    wrong = []
    for name, figure in figures.items():
        straight = [text for text in shown_texts(figure) if not text.get_rotation() % 90]
        seen = [(text, text.get_window_extent()) for text in straight]
        page = figure.bbox.padded(1.5)
        wrong += [(name, "cut", text.get_text()) for text, box in seen
                  if not (page.contains(*box.min) and page.contains(*box.max))]  # fmt: skip
        wrong += [
            (name, one.get_text(), other.get_text())
            for (one, box), (other, another) in itertools.combinations(seen, 2)
            if box.padded(-1.5).overlaps(another.padded(-1.5))
        ]
    assert not wrong


def test_every_legend_says_what_its_names_are_and_is_short(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        for legend in legends(figure):
            assert legend.get_title().get_text().strip(), name
            assert len(legend.get_texts()) <= MOST_IN_A_LEGEND + 1, name


def named_lines(panel: Axes) -> list[Line2D]:
    return [line for line in panel.lines if not str(line.get_label()).startswith("_")]


def test_more_lines_than_a_legend_holds_have_their_names_beside_them(figures: dict[str, Figure]) -> None:
    crowded = [panel for figure in figures.values() for panel in panels(figure)
               if len(named_lines(panel)) > MOST_IN_A_LEGEND]  # fmt: skip
    assert len(crowded) >= 5
    for panel in crowded:
        written = {text.get_text() for text in panel.texts}
        assert {str(line.get_label()) for line in named_lines(panel)} < written
        assert panel.get_legend() is None


def test_every_axis_of_numbers_has_a_name(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        for panel in panels(figure):
            for axis in (panel.xaxis, panel.yaxis):
                numbers = any(label.get_text().strip("−%,.").isdigit() for label in tick_labels(axis))
                named = axis.get_label_text() or panel.get_title()
                assert named or not numbers, (name, axis.axis_name)


def test_no_line_joins_names(figures: dict[str, Figure]) -> None:
    """Between round_robin and p2c there is nothing that a line could show."""
    seen = 0
    for name, figure in figures.items():
        for panel in panels(figure):
            if not are_names(panel.xaxis):
                continue
            seen += 1
            for line in panel.lines:
                at = np.unique(np.round(np.asarray(line.get_xdata(), dtype=float)))
                drawn = line.get_linestyle() not in ("None", "none", "", " ")
                assert not drawn or len(at) <= 1, (name, line.get_label())
    assert seen >= 3


def are_names(axis: Axis) -> bool:
    labels = [label.get_text() for label in tick_labels(axis)]
    fixed = isinstance(axis.get_major_locator(), FixedLocator)
    return fixed and any(label[:1].isalpha() for label in labels)


def test_what_never_settles_is_marked_and_does_not_set_the_scale(figures: dict[str, Figure]) -> None:
    for name in ("names and replicas", "rates of ten", "rates of three"):
        figure = figures[name]
        assert panels(figure)[0].get_ylim()[1] < 1000, name
        (legend,) = figure.legends
        assert "never settles" in [text.get_text() for text in legend.get_texts()], name
    words = [text.get_text() for text in panels(figures["map"])[0].texts]
    assert words.count("never\nsettles") == len(BALANCERS)
    assert panels(figures["map"])[0].images[0].norm.vmax < 1000
    for panel in panels(figures["overload: percentiles"]):
        assert panel.get_xlim()[1] < 2000
        assert sum("never settles" in text.get_text() for text in panel.texts) == 2
    titles = [panel.get_title().replace("\n", " ") for panel in panels(figures["overload: tails"])]
    assert [title.endswith("never settles") for title in titles] == [False, True, False, False]


def test_each_twin_has_its_colour_and_its_shape_everywhere(figures: dict[str, Figure]) -> None:
    found: dict[str, set[tuple[str, str]]] = {"predicted": set(), "measured": set()}
    for figure in figures.values():
        for artist in figure.findobj(lambda one: isinstance(one, (Line2D, Rectangle))):
            label = str(artist.get_label()).partition(",")[0]
            side = "predicted" if label == "simulated" else label
            if side in found and isinstance(artist, Line2D):
                found[side].add((to_hex(artist.get_color()), str(artist.get_marker())))
            elif side in found:
                area = "hatched" if artist.get_hatch() else "plain"
                found[side].add((to_hex(artist.get_facecolor()), area))
    assert found["predicted"] == {(PREDICTED, PREDICTED_MARK), (PREDICTED, "plain")}
    assert found["measured"] == {(MEASURED, MEASURED_MARK), (MEASURED, "hatched")}


# -- contrast, computed from what is drawn ---------------------------------------------------------


def luminance(colour: Any) -> float:
    values = np.asarray(to_rgb(colour))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: Any, other: Any) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ground(pixels: np.ndarray[Any, Any], text: Text) -> tuple[float, ...]:
    """The most frequent colour behind a text, in a rendering without texts."""
    box = text.get_window_extent()
    height, width = pixels.shape[:2]
    x0, x1 = (int(np.clip(x, 0, width - 1)) for x in (box.x0, box.x1))
    y0, y1 = (int(np.clip(height - y, 0, height - 1)) for y in (box.y1, box.y0))
    behind = pixels[y0 : y1 + 1, x0 : x1 + 1, :3].reshape(-1, 3)
    colours, counts = np.unique(behind, axis=0, return_counts=True)
    return tuple(colours[counts.argmax()] / 255)


def test_all_text_has_a_contrast_of_four_and_a_half(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        figure.set_dpi(50)
        seen = shown_texts(figure)
        for text in seen:
            text.set_alpha(0.0)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())
        for text in seen:
            text.set_alpha(None)
            assert contrast(text.get_color(), ground(pixels, text)) >= 4.5, (name, text.get_text())


def test_lines_marks_and_bars_have_a_contrast_of_three(figures: dict[str, Figure]) -> None:
    """Bands of confidence are fainter: the line in their middle says the same."""
    for name, figure in figures.items():
        for panel in panels(figure):
            bars = [bar for bar in panel.patches if (bar.get_alpha() or 1.0) > 0.3]
            colours = [(line.get_color(), line.get_alpha()) for line in panel.lines]
            colours += [(bar.get_facecolor(), bar.get_alpha()) for bar in bars]
            for colour, alpha in colours:
                red, green, blue, opacity = to_rgba(colour, alpha)
                on_white = tuple(opacity * part + 1 - opacity for part in (red, green, blue))
                assert contrast(on_white, "white") >= 3, (name, colour, alpha)
