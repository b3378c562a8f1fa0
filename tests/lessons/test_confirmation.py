"""Progress bars and results in a notebook."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import pytest
from IPython.display import HTML

from lessons.kit import Picture, confirm_in_notebook, figure_of_confirmation, progress_bars
from lessons.kit import confirmation as module
from lessons.kit.confirmation import picture_in_words, summary_html
from lessons.kit.progress_bars import NotebookBars
from lessons.predict_then_confirm import slow_server
from scenarios.loading import LoadedScenario
from simulator import Costs
from twin.confirm.outcome import Confirmation


def test_a_step_fills_its_bar_and_says_how_long_it_took() -> None:
    bars = NotebookBars()
    with bars.step("measure", 4.0, unit="s") as advance:
        name, bar, note = bars.panel.children[0].children
        bars.note("round_robin")
        advance(1.5)
        assert (name.value, bar.value, bar.max, note.value) == ("measure", 1.5, 4.0, "round_robin")
        advance(9.0)
        assert bar.value == 4.0, "a bar is never overfull"
    assert bar.bar_style == "success" and note.value.endswith(" s")


def test_steps_stand_below_each_other_and_a_short_one_is_full_at_its_end() -> None:
    bars = NotebookBars()
    for name in ("calibrate", "simulate"):
        with bars.step(name, 2.0):
            pass
    assert [row.children[0].value for row in bars.panel.children] == ["calibrate", "simulate"]
    assert [row.children[1].value for row in bars.panel.children] == [2.0, 2.0]


def test_a_step_that_fails_turns_red_and_lets_the_error_through() -> None:
    bars = NotebookBars()
    with pytest.raises(KeyboardInterrupt), bars.step("measure", 2.0):
        bars.note("p2c")
        raise KeyboardInterrupt
    _, bar, note = bars.panel.children[0].children
    assert bar.bar_style == "danger" and note.value == "stopped at: p2c"


@pytest.mark.parametrize("fails", [False, True])
def test_at_the_end_text_takes_the_place_of_the_bars(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    shown: list[Any] = []
    handle = SimpleNamespace(update=shown.append)
    monkeypatch.setattr(progress_bars, "display", lambda panel, **_: shown.append(panel) or handle)
    bars = NotebookBars()
    with contextlib.suppress(LookupError), bars.displayed():
        with bars.step("simulate", 1.0):
            pass
        with bars.step("measure", 1.0):
            bars.note("<p2c>")
            if fails:
                raise LookupError
    assert shown[0] is bars.panel
    ending = "stopped at: &lt;p2c&gt;" if fails else r"\d+\.\d s"
    assert re.fullmatch(rf"simulate: \d+\.\d s<br>measure: {ending}", shown[1].data)


def test_a_note_before_the_first_step_is_nobodys() -> None:
    NotebookBars().note("nothing yet")


@pytest.fixture(scope="module")
def found(load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation]) -> Confirmation:
    return confirmation(load())


def test_the_summary_shows_both_sides_the_verdict_and_the_conclusion(found: Confirmation) -> None:
    shown = summary_html(found)
    for text in ("predicted", "measured", "confirmed", "noise floor", "Predictions: 2 confirmed."):
        assert text in shown
    assert f"{found.variants[0].measured.p99_ms:.1f}" in shown
    assert "Void" not in shown


def test_a_void_run_says_so_and_what_to_do(
    load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation]
) -> None:
    shown = summary_html(confirmation(load(), void=["p2c: it was late"] * 2))
    assert "Void: these runs prove nothing." in shown and "run the cell again" in shown
    assert ">void</span>" in shown and "inconclusive</span>" not in shown
    assert "Something else" not in shown, "nothing is blamed that was not measured"
    assert shown.count("p2c: it was late") == 1, "the same reason once"


def test_of_many_reasons_for_a_void_run_a_few_are_enough(
    load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation]
) -> None:
    shown = summary_html(confirmation(load(), void=[f"reason {number}" for number in range(9)]))
    assert "reason 2" in shown and "reason 3" not in shown and "6 more" in shown


def test_one_variant_alone_is_not_ranked(
    load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation]
) -> None:
    one = load(compare={"proxy.service.web.balance": ["p2c"]})
    assert "told apart" not in summary_html(confirmation(one))


def test_the_picture_has_a_panel_a_variant_and_says_it_in_words(found: Confirmation) -> None:
    panels = [panel for panel in figure_of_confirmation(found.variants).axes if panel.get_visible()]
    assert [panel.get_title() for panel in panels] == ["round_robin", "least_requests"]
    words = picture_in_words(found.variants)
    assert f"round_robin: p99 predicted {found.variants[0].simulated.p99_ms:.0f} ms" in words
    void = [replace(outcome, verdict="void") for outcome in found.variants]
    assert "round_robin (void): p99 predicted" in picture_in_words(void)


def test_a_confirmation_shows_bars_table_and_picture_and_is_returned(
    monkeypatch: pytest.MonkeyPatch, found: Confirmation
) -> None:
    """This test replaces `confirm`; tests/notebooks runs the real one."""
    asked: dict[str, Any] = {}

    def confirm(loaded: LoadedScenario, **options: Any) -> Confirmation:
        asked.update(options, loaded=loaded)
        return found

    monkeypatch.setattr(module, "confirm", confirm)
    shown: list[Any] = []
    monkeypatch.setattr(module, "display", shown.append)
    monkeypatch.setattr(progress_bars, "display", lambda panel, **_: shown.append(panel))
    lesson, costs = slow_server(balancers=["p2c"], duration_s=3), Costs()
    assert confirm_in_notebook(lesson, costs=costs) is found
    assert asked["loaded"] is lesson and asked["costs"] is costs and asked["tries"] == 1
    assert [type(thing) for thing in shown] == [widgets.VBox, HTML, Picture]
    assert shown[0] is asked["reporter"].panel, "the bars that are shown are those that move"
