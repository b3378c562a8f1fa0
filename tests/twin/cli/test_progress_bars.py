"""Progress bars: in a terminal they show what goes on, elsewhere nothing is written."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from twin.cli.progress_bars import Bars
from twin.progress import Reporter


def work(reporter: Reporter) -> None:
    with reporter.step("measure", 4.0, unit="s") as advance:
        reporter.note("p2c [/x]")
        advance(1.0)
        advance(1.0)


def test_a_terminal_sees_a_bar_for_each_step_and_what_it_is_at() -> None:
    file = io.StringIO()
    with Bars(Console(file=file, force_terminal=True, width=100)) as bars:
        bars.note("too early to be seen")
        work(bars)
        work(bars)
    text = file.getvalue()
    assert "measure" in text
    assert "100 %" in text
    assert "too early" not in text


def test_a_step_that_fails_does_not_look_done() -> None:
    file = io.StringIO()
    with (
        pytest.raises(KeyboardInterrupt),
        Bars(Console(file=file, force_terminal=True, width=100)) as bars,
        bars.step("measure", 4.0) as advance,
    ):
        bars.note("p2c [/x]")
        advance(1.0)
        raise KeyboardInterrupt
    assert "p2c [/x]" in file.getvalue()
    assert "25 %" in file.getvalue()
    assert "100 %" not in file.getvalue()


def test_a_file_sees_nothing() -> None:
    file = io.StringIO()
    with Bars(Console(file=file, force_terminal=False)) as bars:
        work(bars)
    assert file.getvalue() == ""
