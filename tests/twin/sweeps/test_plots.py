"""Pictures and tables of sweeps and curves: a line for each policy, units on the axes, no warning."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from rich.console import Console

from policies.bad_input import BadInput
from simulator.statistics import student_t95
from twin.plots.style import PREDICTED, TITLES
from twin.sweeps.plots import averaged_keys, figure_against, heat_map, hit_ratio_curves, picture_of
from twin.sweeps.tables import MOST_ROWS, check_metric, curve_table, short_names, sweep_table

CAPACITY, USERS, BALANCE = "proxy.cache.capacity", "workload.users", "proxy.service.web.balance"


def swept(keys: dict[str, list[Any]], replications: int = 3, hits: bool = True) -> pd.DataFrame:
    """A table as a sweep makes it, with figures that tell where they come from."""
    index = pd.MultiIndex.from_product([*keys.values(), range(replications)], names=[*keys, "replication"])
    table = index.to_frame(index=False)
    table["seed"] = table["replication"] + 7
    rows = np.arange(len(table), dtype=float)
    for name in ("throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "error_ratio"):
        table[name] = rows * (name != "error_ratio")
    table["hit_ratio"] = rows / len(table) if hits else np.nan
    table["error"] = ""
    return table


def curves(error: float = 0.0) -> pd.DataFrame:
    rows = [
        {
            "policy": policy, "capacity_bytes": capacity, "hit_ratio": hit, "hit_ratio_error": error,
            "byte_hit_ratio": hit / 2, "byte_hit_ratio_error": error,
        }
        for policy, hits in (("lru", (0.2, 0.4)), ("sieve", (0.3, 0.5)))
        for capacity, hit in zip((2**20, 2**24), hits, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(figure: Figure) -> bytes:
    """The picture; pytest turns every warning on the way into an error."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def shown(table: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# -- hit ratio curves ----------------------------------------------------------------------------


def test_curves_have_a_line_a_policy_for_requests_and_for_bytes() -> None:
    figure = hit_ratio_curves(curves())
    for panel, factor in zip(figure.axes, (1.0, 0.5), strict=True):
        assert [line.get_label() for line in panel.lines] == ["lru", "sieve"]
        assert panel.lines[1].get_ydata().tolist() == [0.3 * factor, 0.5 * factor]
        assert panel.lines[0].get_xdata().tolist() == [2**20, 2**24]
        assert (panel.get_xscale(), panel.get_xlabel(), panel.get_ylim()) == ("log", "capacity", (0, 1))
        assert not panel.collections, "nothing was sampled: no band"
    assert to_hex(figure.axes[0].lines[0].get_color()) == PREDICTED
    assert legend_texts(figure) == ["lru", "sieve"]
    assert drawn(figure).startswith(b"\x89PNG")
    assert "1MiB" in [label.get_text() for label in figure.axes[0].get_xticklabels()]


def test_the_error_of_a_sample_is_a_band() -> None:
    figure = hit_ratio_curves(curves(error=0.05))
    (band, _) = figure.axes[0].collections
    y = band.get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == pytest.approx((0.15, 0.45))
    drawn(figure)


def test_one_sample_whose_error_is_not_known_can_be_drawn() -> None:
    drawn(hit_ratio_curves(curves(error=np.nan)))


def test_many_policies_have_lines_that_differ() -> None:
    many = pd.concat([curves().assign(policy=f"p{i}") for i in range(16)])
    figure = hit_ratio_curves(many)
    lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == 16
    assert not figure.legends, "so many lines have their names at their ends"
    names = [text.get_text() for text in figure.axes[0].texts]
    assert {f"p{i}" for i in range(16)} < set(names) and "policy" in names


# -- a figure against a key ----------------------------------------------------------------------


def test_p99_against_load_is_a_mean_with_its_confidence_interval() -> None:
    table = swept({USERS: [10, 40], BALANCE: ["p2c", "random"]})
    panel = figure_against(table, USERS).axes[0]
    assert [line.get_label() for line in panel.lines] == ["p2c", "random"]
    assert panel.lines[0].get_xdata().tolist() == [10, 40]
    assert panel.lines[0].get_ydata().tolist() == [1.0, 7.0]  # of rows 0 1 2 and 6 7 8
    half = student_t95(2) / np.sqrt(3)
    assert panel.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(7 + half)
    assert (panel.get_xlabel(), panel.get_ylabel()) == (USERS, "p99, ms")


@pytest.mark.parametrize(
    ("key", "values", "places", "label"),
    [
        ("workload.rate", ["10/s", "300/m"], [5.0, 10.0], "workload.rate, requests/s"),
        ("proxy.limits.connect_timeout", ["1s", "200ms"], [0.2, 1.0], "proxy.limits.connect_timeout, s"),
        (CAPACITY, ["1MiB", "64KiB"], [2**16, 2**20], CAPACITY),
        (BALANCE, ["p2c", "random"], [0.0, 1.0], BALANCE),
    ],
)
def test_quantities_stand_in_their_order_and_unit(
    key: str, values: list[str], places: list[float], label: str
) -> None:
    figure = figure_against(swept({key: values}, replications=1), key)
    (line,) = figure.axes[0].lines
    assert line.get_xdata().tolist() == places
    assert figure.axes[0].get_xlabel() == label
    drawn(figure)


@pytest.mark.parametrize("key", [USERS, BALANCE, "workload.rate"])
@pytest.mark.parametrize("groups", [1, 3, 9])
def test_a_sweep_in_which_nothing_settles_can_be_drawn_and_says_so(key: str, groups: int) -> None:
    values = {USERS: [10, 40], BALANCE: ["p2c", "random"], "workload.rate": ["10/s", "20/s"]}[key]
    table = swept({key: values, "proxy.workers": list(range(groups))}).assign(unsettled="it grows")
    for figure in (figure_against(table, key), heat_map(table, key, "proxy.workers")):
        drawn(figure)
        words = [text.get_text() for panel in figure.axes for text in panel.texts] + legend_texts(figure)
        assert any("never" in text for text in words)


@pytest.mark.parametrize("groups", [1, 3, 9])
def test_many_points_at_names_have_names_too(groups: int) -> None:
    table = swept({BALANCE: ["p2c", "random"], "proxy.workers": list(range(groups))})
    figure = figure_against(table, BALANCE)
    drawn(figure)
    names = legend_texts(figure) + [text.get_text() for text in figure.axes[0].texts]
    assert {str(number) for number in range(groups)} <= set(names)


def test_one_setting_that_never_settles_does_not_hide_the_others() -> None:
    table = swept({USERS: [10, 40, 90]}).assign(unsettled="")
    table.loc[table[USERS] == 90, ["unsettled", "p99_ms"]] = ["it grows", 1e6]
    panel = figure_against(table, USERS).axes[0]
    line, mark = panel.lines
    assert line.get_xdata().tolist() == [10, 40] and panel.get_ylim()[1] < 100
    assert (mark.get_xdata()[0], mark.get_ydata()[0] > 1) == (90, True), "above the panel, which ends at 1"
    rate = figure_against(table, USERS, "throughput_rps").axes[0].lines[0]
    assert rate.get_xdata().tolist() == [10, 40, 90], "the throughput of an overload is its capacity"


def test_failed_cells_are_left_out_of_lines_and_said_in_a_map() -> None:
    table = swept({USERS: [10, 40], "backend.web.replicas": [1, 2]}, replications=2)
    failed = (table[USERS] == 10) & (table["backend.web.replicas"] == 1)
    table.loc[failed, "error"] = "ZeroDivisionError"
    table.loc[failed, "p99_ms"] = np.nan
    assert figure_against(table, USERS).axes[0].lines[0].get_xdata().tolist() == [40]
    figure = heat_map(table, "backend.web.replicas", USERS)
    assert [text.get_text() for text in figure.axes[0].texts] == ["failed", "2.5", "4.5", "6.5"]
    drawn(figure)


def test_a_heat_map_has_a_place_for_each_pair() -> None:
    table = swept({USERS: [10, 40], BALANCE: ["p2c", "random", "round_robin"]})
    figure = heat_map(table, BALANCE, USERS, "mean_ms")
    panel, bar = figure.axes
    assert [text.get_text() for text in panel.get_xticklabels()] == ["p2c", "random", "round_robin"]
    assert [text.get_text() for text in panel.get_yticklabels()] == ["10", "40"]
    assert [text.get_text() for text in panel.texts] == ["1", "4", "7", "10", "13", "16"]
    assert bar.get_ylabel() == "mean, ms"
    drawn(figure)


@pytest.mark.parametrize(
    ("keys", "hits", "along", "up"),
    [
        ({CAPACITY: ["1KiB", "1MiB"], BALANCE: ["p2c", "random"]}, True, CAPACITY, "hit ratio"),
        ({CAPACITY: ["1KiB", "1MiB"]}, False, CAPACITY, "p99, ms"),
        ({BALANCE: ["p2c", "random"], USERS: [1, 2]}, True, USERS, "p99, ms"),
        ({BALANCE: ["p2c", "random"], "backend.web.replicas": [1, 2]}, True, "backend.web.replicas", BALANCE),
        ({BALANCE: ["p2c", "random"]}, True, BALANCE, "p99, ms"),
    ],
    ids=["hit ratio curve", "no cache", "p99 against load", "heat map", "one key"],
)
def test_the_picture_fits_what_was_varied(
    keys: dict[str, list[Any]], hits: bool, along: str, up: str
) -> None:
    figure = picture_of(swept(keys, hits=hits))
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == (along, up)
    drawn(figure)


@pytest.mark.parametrize(
    "keys", [{CAPACITY: ["1KiB", "1MiB"]}, {USERS: [1, 2]}, {BALANCE: ["p2c", "random"]}]
)
@pytest.mark.parametrize("metric", ["p95_ms", "mean_ms", "hit_ratio", "throughput_rps"])
def test_the_figure_that_is_asked_for_is_drawn(keys: dict[str, list[Any]], metric: str) -> None:
    assert picture_of(swept(keys), metric).axes[0].get_ylabel() == TITLES[metric]


def test_keys_that_a_heat_map_averages_over_are_known() -> None:
    three = {"backend.web.replicas": [1, 2], BALANCE: ["p2c", "random"], "proxy.limits.threads": [4, 8]}
    assert averaged_keys(swept(three)) == ["backend.web.replicas"]
    assert averaged_keys(swept({**three, USERS: [1, 2]})) == averaged_keys(swept({USERS: [1, 2]})) == []


def test_a_figure_that_no_setting_has_is_one_line() -> None:
    with pytest.raises(BadInput, match=r"^--metric: hit_ratio: no setting of this sweep has this figure"):
        picture_of(swept({USERS: [1, 2]}, hits=False), "hit_ratio")


def test_an_unknown_figure_is_one_line() -> None:
    check_metric("p95_ms", "--metric")
    with pytest.raises(BadInput, match=r"--metric: p98_ms: unknown figure \(did you mean 'p9[59]_ms'\?\)"):
        check_metric("p98_ms", "--metric")


# -- tables --------------------------------------------------------------------------------------


def test_a_sweeps_table_averages_replications_and_fits_into_80_columns() -> None:
    text = shown(sweep_table(swept({CAPACITY: ["1KiB", "1MiB"], BALANCE: ["p2c", "random"]}), "small"), 80)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line
    ]
    assert rows[1] == ["1KiB", "random", "4.0", "4.0", "4.0", "4.0", "4.0", "0.3333"]
    assert "capacity" in text and "balance" in text and "errors" not in text


def test_a_long_table_is_cut_and_says_so() -> None:
    text = shown(sweep_table(swept({USERS: list(range(MOST_ROWS + 3))}), "long"))
    assert "and 3 more settings, which --out keeps" in text
    whole = shown(sweep_table(swept({USERS: list(range(MOST_ROWS + 3))}), "long", None))
    assert "more" not in whole and whole.count("│ ") > text.count("│ ")


def test_keys_are_named_by_as_little_as_tells_them_apart() -> None:
    assert short_names(["a.x", "b.y"]) == ["x", "y"]
    assert short_names(["a.x", "b.x", "c.b.x"]) == ["a.x", "b.x", "c.b.x"]
    assert short_names(["x", "a.y"]) == ["x", "y"]


def test_a_table_of_curves_says_the_error_of_a_sample() -> None:
    assert "±" not in shown(curve_table(curves(), "exact"))
    text = shown(curve_table(curves(error=0.0125), "sampled"))
    assert "1MiB" in text and "0.3000 ±0.0125" in text and "0.1500 ±0.0125" in text
    assert "?" in shown(curve_table(curves(error=np.nan), "one sample"))
