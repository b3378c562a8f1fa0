"""Pictures show both twins in their colours, name their units, and draw without a warning."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from scenarios import Records, Summary, Variant
from scenarios.loading import LoadedScenario
from simulator import Costs, simulate
from twin.plots import comparison
from twin.plots.style import MEASURED, PREDICTED

Make = Callable[..., Summary]
LABELS = ["round_robin", "p2c", "least_requests", "random", "source_hash"]


@pytest.fixture(scope="module")
def records(load: Callable[..., LoadedScenario]) -> Records:
    return simulate(load().scenario).records


@pytest.fixture(scope="module")
def empty(records: Records) -> Records:
    return records.within((98.0, 99.0))


def drawn(figure: Figure) -> bytes:
    """The picture; pytest turns every warning on the way into an error."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue()


def titles(figure: Figure) -> list[str]:
    return [panel.get_title() for panel in figure.axes if panel.get_visible()]


def line_colours(figure: Figure) -> list[set[str]]:
    return [{to_hex(line.get_color()) for line in panel.lines} for panel in figure.axes]


def bar_lengths(figure: Figure, number: int = 0) -> dict[str, list[float]]:
    """Widths of the bars of one panel, by colour."""
    lengths: dict[str, list[float]] = {}
    for bar in figure.axes[number].patches:
        lengths.setdefault(to_hex(bar.get_facecolor()), []).append(bar.get_width())
    return lengths


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# -- latency distributions -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_latency_has_a_panel_a_variant_with_both_twins_over_each_other(records: Records, count: int) -> None:
    figure = comparison.latency_distributions(LABELS[:count], [records] * count, [records] * count)
    assert titles(figure) == LABELS[:count]
    assert [colours for colours in line_colours(figure) if colours] == [{PREDICTED, MEASURED}] * count
    assert legend_texts(figure) == ["predicted", "measured"]
    assert drawn(figure).startswith(b"\x89PNG")


def test_latency_axes_name_their_units(records: Records) -> None:
    figure = comparison.latency_distributions(LABELS, [records] * 5, [records] * 5)
    visible = [panel for panel in figure.axes if panel.get_visible()]
    assert len(visible) == 5
    assert visible[0].get_ylabel() == visible[3].get_ylabel() == "share of requests slower"
    for lowest in visible[2:]:  # above the empty place, too
        assert lowest.get_xlabel() == "response time, ms"
    assert {panel.get_xscale() for panel in visible} == {panel.get_yscale() for panel in visible} == {"log"}


def test_latency_is_drawn_in_milliseconds(records: Records) -> None:
    figure = comparison.latency_distributions(["a"], [records], [None])
    (line,) = figure.axes[0].lines
    assert np.array_equal(line.get_xdata(), np.sort(records.response) * 1e3)


@pytest.mark.parametrize("side", ["none", "empty"])
def test_latency_of_one_twin_or_of_none_can_be_drawn(records: Records, empty: Records, side: str) -> None:
    lacking = None if side == "none" else empty
    one = comparison.latency_distributions(["a", "b"], [records, lacking], [lacking, lacking])
    assert line_colours(one) == [{PREDICTED}, set()]
    drawn(one)
    drawn(comparison.latency_distributions(["a"], [lacking], [lacking]))


def test_answers_that_take_no_time_can_be_drawn(records: Records) -> None:
    instant = records.select(np.arange(3))
    instant.done[:] = instant.sent
    drawn(comparison.latency_distributions(["a"], [instant], [instant]))


@given(
    arrays(np.float64, st.integers(1, 50), elements=st.floats(1e-6, 1e3)),
)
def test_a_tail_falls_from_one_towards_zero(response: np.ndarray[Any, Any]) -> None:
    times, slower = comparison.tail(response)
    assert np.array_equal(times, np.sort(response))
    assert np.all(np.diff(slower) < 0)
    assert 0 < slower[-1] <= slower[0] < 1
    assert slower[-1] == pytest.approx(1 / (len(response) + 1))


# -- percentiles, hits, shares -------------------------------------------------------------------


def test_percentiles_stand_side_by_side(summary: Make) -> None:
    said, seen = summary(p50_ms=1.0, p95_ms=2.0, p99_ms=3.0), summary(p50_ms=4.0, p95_ms=5.0, p99_ms=6.0)
    figure = comparison.percentiles_by_variant(["a", "b"], [said, said], [seen, seen])
    assert titles(figure) == ["p50", "p95", "p99"]
    for number in range(3):
        assert bar_lengths(figure, number) == {PREDICTED: [number + 1.0] * 2, MEASURED: [number + 4.0] * 2}
        assert figure.axes[number].get_xlabel() == "response time, ms"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["1.0", "1.0", "4.0", "4.0"]
    drawn(figure)


def test_the_first_variant_stands_on_top_with_its_prediction_first(summary: Make) -> None:
    figure = comparison.percentiles_by_variant(["a", "b"], [summary()] * 2, [summary()] * 2)
    assert figure.axes[0].yaxis_inverted()
    predicted, measured = (
        [bar.get_y() for bar in figure.axes[0].patches if to_hex(bar.get_facecolor()) == colour]
        for colour in (PREDICTED, MEASURED)
    )
    assert predicted[0] < measured[0] < predicted[1] < measured[1]


def test_hit_ratios_stand_side_by_side(summary: Make) -> None:
    figure = comparison.hits_by_variant(["a"], [summary(hit_ratio=0.25)], [summary(hit_ratio=0.5)])
    assert bar_lengths(figure) == {PREDICTED: [0.25], MEASURED: [0.5]}
    assert figure.axes[0].get_xlabel() == "share of requests served from the cache"
    assert legend_texts(figure) == ["predicted", "measured"]
    drawn(figure)


@pytest.mark.parametrize("count", [1, 4, 7])
def test_shares_have_a_panel_a_variant(summary: Make, count: int) -> None:
    labels = [f"variant {i}" for i in range(count)]
    figure = comparison.shares_by_variant(labels, [summary()] * count, [summary()] * count)
    assert titles(figure) == labels
    assert bar_lengths(figure, count - 1) == {PREDICTED: [0.75, 0.25], MEASURED: [0.75, 0.25]}
    assert {panel.get_xlabel() for panel in figure.axes[:count]} == {"share of upstream requests"}
    drawn(figure)


def test_variants_may_have_different_upstreams(summary: Make) -> None:
    few, many = summary(upstream_share={"web/0": 1.0}), summary(upstream_share={"web/0": 0.5, "web/1": 0.5})
    figure = comparison.shares_by_variant(["few", "many"], [few, many], [few, many])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["web/0", "web/1"]
    assert bar_lengths(figure, 1) == {PREDICTED: [0.5, 0.5], MEASURED: [0.5, 0.5]}
    drawn(figure)


@pytest.mark.parametrize(
    "draw", [comparison.percentiles_by_variant, comparison.hits_by_variant, comparison.shares_by_variant]
)
def test_bars_of_one_twin_or_of_none_can_be_drawn(summary: Make, draw: Callable[..., Figure]) -> None:
    nothing = summary(p50_ms=float("nan"), hit_ratio=None, upstream_share={})
    for said, seen in ((summary(), None), (None, summary()), (nothing, nothing), (None, None)):
        drawn(draw(["a"], [said], [seen]))


# -- queues --------------------------------------------------------------------------------------


def test_queue_lengths_have_a_line_for_each_place(load: Callable[..., LoadedScenario]) -> None:
    queues = simulate(load().scenario).queues
    figure = comparison.queue_lengths(
        {name: (series.times, series.values) for name, series in queues.items()}
    )
    panel = figure.axes[0]
    assert [line.get_label() for line in panel.lines] == ["web/0", "web/1", "proxy"]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("time, s", "requests inside")
    assert panel.get_ylim()[0] == 0
    drawn(figure)


def test_no_queues_can_be_drawn() -> None:
    drawn(comparison.queue_lengths({}))


def test_pictures_of_a_run_that_costs_nothing_can_be_drawn(
    load: Callable[..., LoadedScenario], caching: dict[str, Any]
) -> None:
    variants: list[Variant] = load(caching).variants
    runs = [simulate(variant.scenario, costs=Costs.zero()) for variant in variants]
    labels, rows = [variant.label for variant in variants], [run.records for run in runs]
    drawn(comparison.latency_distributions(labels, rows, rows))
