"""What the terminal shows fits into it and says what was found."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from scenarios import Summary
from scenarios.loading import LoadedScenario
from twin.cli.terminal import (
    caches_table,
    confirmation_table,
    fetches_table,
    print_confirmation,
    summary_table,
)
from twin.confirm.outcome import Confirmation
from twin.output.sheet import Sheet

Make = Callable[..., Summary]


def shown(*what: Sheet | str, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    for item in what:
        console.print(item)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(table: str) -> list[list[str]]:
    """The cells of each line between the table's rules."""
    lines = [line for line in table.splitlines() if line[:1] in "│┃"]
    return [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in lines]


@pytest.mark.parametrize("which", ["balanced", "cached"])
@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_into_80_columns_and_cuts_nothing_off(
    request: pytest.FixtureRequest, which: str, width: int
) -> None:
    found: Confirmation = request.getfixturevalue(which)
    unsure = [replace(outcome, verdict="inconclusive") for outcome in found.variants]
    found = replace(found, variants=unsure)
    text = shown(confirmation_table(found), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for outcome in found.variants:
        assert outcome.variant.label in text
        assert outcome.verdict in text
    borders = len(rows(text)) > 0  # a narrow table goes without
    lines = rows(text) if borders else text.splitlines()[1:-1]
    assert len(lines) == 1 + 3 * len(found.variants) + 1  # no cell is broken into lines


def test_each_variant_has_its_prediction_measurement_and_difference(balanced: Confirmation) -> None:
    first = balanced.variants[0]
    head, said, seen, apart, *_, noise = rows(shown(confirmation_table(balanced)))
    assert head == ["variant", "", "req/s", "mean", "p50", "p95", "p99"]
    assert said[:3] == ["round_robin", "predicted", f"{first.simulated.throughput_rps:.1f}"]
    assert seen[:3] == ["confirmed", "measured", f"{first.measured.throughput_rps:.1f}"]
    assert apart == ["", "difference", *["+0.0%"] * 4, "(+0.0%)"], "p99 is not judged"
    assert noise == ["noise floor", "", *["0.0%"] * 5]


def test_hit_ratios_are_shown_only_where_something_is_cached(
    balanced: Confirmation, cached: Confirmation
) -> None:
    assert "hits" not in shown(confirmation_table(balanced))
    head, said, _, apart, *_ = rows(shown(confirmation_table(cached)))
    assert head[-1] == "hits"
    assert said[-1] == f"{cached.variants[0].simulated.hit_ratio:.1%}"
    assert apart[-1] == "+0.0pp"


def test_fetches_stand_in_a_table_where_hits_do_not_tell_them(summary: Make) -> None:
    as_misses = summary(fetch_rps=50.0, fetches_per_expiry=1.02)  # 100 requests/s, half of them hits
    several, behind = replace(as_misses, fetches_per_expiry=41.0), replace(as_misses, fetch_rps=60.0)
    assert fetches_table(["a"], {"predicted": [summary()], "measured": [as_misses]}) is None
    for telling in (several, behind):
        assert fetches_table(["a"], {"predicted": [as_misses], "measured": [telling]}) is not None
    table = fetches_table(["a", "b" * 50], {"predicted": [several, behind], "measured": [as_misses] * 2})
    text = shown(table, width=80)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert rows(text)[2] == ["a", "50", "50", "41", "1.02"]


def test_a_chain_tells_whose_cache_answered(summary: Make) -> None:
    half, quarter = ({"proxy.0": share, "proxy.1": 0.125} for share in (0.5, 0.25))
    said = [summary(cache_share=half), summary(cache_share=quarter)]
    table = caches_table(["a", "b"], {"predicted": said, "measured": said[::-1]})
    text = shown(table, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert rows(text)[2:] == [
        ["a", "50.0%", "25.0%", "12.5%", "12.5%"],
        ["b", "25.0%", "50.0%", "12.5%", "12.5%"],
    ]
    assert caches_table(["a"], {"predicted": [summary()]}) is None


def test_one_twin_alone_has_a_line_a_variant(load: Callable[..., LoadedScenario], summary: Make) -> None:
    summaries = [summary(), summary(error_ratio=0.125, hit_ratio=math.nan, p99_ms=math.nan)]
    text = shown(summary_table(load(), summaries, "A title"), width=80)
    head, first, second = rows(text)
    assert text.startswith("A title")
    assert head == ["variant", "req/s", "mean", "p50", "p95", "p99", "hits", "errors"]
    assert "response times in ms" in " ".join(text.split())
    assert first == ["round_robin", "100.0", "20.0", "15.0", "60.0", "90.0", "50.0%", "0.0%"]
    assert second == ["least_requests", "100.0", "20.0", "15.0", "60.0", "–", "–", "12.5%"]


def test_a_run_without_a_single_request_is_shown_as_dashes(
    load: Callable[..., LoadedScenario], summary: Make
) -> None:
    nothing = dict.fromkeys(("mean_ms", "p50_ms", "p95_ms", "p99_ms", "error_ratio"), math.nan)
    empty = summary(throughput_rps=0.0, hit_ratio=None, **nothing)
    assert rows(shown(summary_table(load(), [empty, empty], "t")))[1][1:] == ["0.0", *"–––––"]


def test_brackets_in_titles_and_labels_are_text_and_not_markup(
    load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation], summary: Make
) -> None:
    title, label = "Which [/b] one?", "[red]a[/x]"
    loaded = load(title=title, compare={"title": [label, "b"]})
    found = confirmation(loaded, void=["[/y] late"])
    console = Console(file=io.StringIO(), width=100)
    print_confirmation(found, console)
    console.print(summary_table(loaded, [summary()] * 2, title))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count(title) == 2
    assert text.count(label) >= 2
    assert "void: [/y] late" in text


def test_void_and_repeated_runs_are_told(balanced: Confirmation) -> None:
    found = replace(balanced, void=["p2c: sent late"], repeated=3)
    console = Console(file=io.StringIO(), width=100)
    print_confirmation(found, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\nVoid runs that were repeated: 3.\n" in text
    assert text.endswith("\nvoid: p2c: sent late\n")
