"""The storms of the confirmation in both twins: who was served, over time."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lessons.kit.display import Picture
from lessons.kit.panels import FIXED_STYLE
from lessons.microservices.scenarios import STORMS, good_after
from lessons.microservices.storm import BEGIN_S, OUTAGE_S
from scenarios.records import Records
from twin.confirm.outcome import VariantOutcome
from twin.plots.style import MEASURED, MEASURED_MARK, NEUTRAL, PREDICTED, PREDICTED_MARK

_BIN_S = 0.25


def both(outcome: VariantOutcome) -> tuple[Records, Records]:
    """The requests of both twins, from the start if they are known."""
    return outcome.from_the_start or (outcome.predicted_records, outcome.measured_records)


def served(records: Records, duration_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Moments in seconds, and the percentage of the requests due around each that had a good answer."""
    edges = np.arange(0.0, duration_s + _BIN_S / 2, _BIN_S)
    due = np.histogram(records.due, edges)[0]
    good = np.histogram(records.due[records.status == 200], edges)[0]
    some = due > 0
    return ((edges[:-1] + edges[1:]) / 2)[some], 100.0 * good[some] / due[some]


def picture_of_storms(outcomes: Mapping[str, VariantOutcome]) -> Picture:
    """A panel for each storm of a confirmation, with both twins."""
    return Picture(figure_of_storms(outcomes), _in_words(outcomes))


def figure_of_storms(outcomes: Mapping[str, VariantOutcome]) -> Figure:
    """The share of good answers over time, predicted and measured."""
    with mpl.rc_context(FIXED_STYLE):
        figure = Figure(figsize=(10.0, 3.0))
        figure.subplots_adjust(left=0.065, right=0.985, top=0.9, bottom=0.17, wspace=0.1)
        panels = figure.subplots(1, len(STORMS), sharex=True, sharey=True)
        for label, panel in zip(STORMS, panels, strict=True):
            _draw(panel, label, outcomes[label])
        panels[0].set_ylabel("good answers, % of the requests")
        panels[0].legend(loc="center right", title="share", alignment="left", fontsize=8)
    return figure


def _draw(panel: Axes, label: str, outcome: VariantOutcome) -> None:
    duration_s, records_of_both = outcome.variant.scenario.duration, both(outcome)
    panel.axvspan(BEGIN_S, BEGIN_S + OUTAGE_S, color=NEUTRAL, alpha=0.15, lw=0, zorder=0)
    looks = (("predicted", PREDICTED, PREDICTED_MARK, 2.6, 7), ("measured", MEASURED, MEASURED_MARK, 1.2, 4))
    for records, (name, colour, mark, width, size) in zip(records_of_both, looks, strict=True):
        times, shares = served(records, duration_s)
        panel.plot(times, shares, color=colour, marker=mark, lw=width, ms=size, label=name)
    panel.set(title=label, xlabel="when the request was due, s", xlim=(0, duration_s), ylim=(-4, 108))


def _in_words(outcomes: Mapping[str, VariantOutcome]) -> str:
    said = (
        f"{label}: {good_after(predicted):.0%} predicted, {good_after(measured):.0%} measured"
        for label in STORMS
        for predicted, measured in (both(outcomes[label]),)
    )
    return f"Good answers from 1.5 s after the outage on. {'; '.join(said)}."
