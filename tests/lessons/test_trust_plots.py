"""The figures of warm-up and coordinated omission."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from lessons.kit.display import png
from lessons.trust import plots as trust_plots
from simulator.statistics import Omission, mser5


def texts(figure: Figure) -> str:
    inside = [text.get_text() for panel in figure.axes for text in (panel.title, *panel.texts)]
    return " ".join([figure.get_suptitle(), *inside])


def test_the_end_of_the_warmup_is_drawn_where_it_is() -> None:
    values = np.random.default_rng(1).normal(1.0, 0.1, 1000)
    values[:100] += 5.0
    found = mser5(values, times=np.arange(1000) / 10)
    figure = trust_plots.warmup(found)
    assert found.end == pytest.approx(10.0, abs=0.5)
    for panel in figure.axes:
        ends = [line.get_xdata()[0] for line in panel.get_lines() if len(line.get_xdata()) == 2]
        assert ends == [found.end]
        assert panel.get_ylabel()
    assert "warm-up ends at 10" in texts(figure)
    assert png(figure)[1:4] == b"PNG"


def test_a_warmup_that_does_not_end_is_noted_in_the_picture() -> None:
    figure = trust_plots.warmup(mser5(np.linspace(0, 1, 1000)))
    assert "more than half" in texts(figure)


def test_values_that_are_all_alike_can_be_drawn() -> None:
    assert png(trust_plots.warmup(mser5(np.ones(100))))


def test_both_clocks_stand_in_one_picture_with_their_p99() -> None:
    times = np.linspace(0, 1, 1001)
    figure = trust_plots.omission(Omission(from_due=times, from_sent=times / 10))
    (panel,) = figure.axes
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["from due", "from sent"]
    assert "p99 990 ms" in texts(figure) and "p99 99 ms" in texts(figure)
    assert png(figure)
