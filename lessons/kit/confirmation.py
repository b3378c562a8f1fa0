"""A real run in a notebook, in half a minute: progress bars first, then a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from IPython.display import HTML, display
from matplotlib.figure import Figure

from lessons.kit.display import Picture, box
from lessons.kit.progress_bars import NotebookBars
from scenarios.loading import LoadedScenario
from simulator import Costs
from twin.confirm.conclusion import conclusion, how_judged
from twin.confirm.outcome import Confirmation, VariantOutcome
from twin.confirm.procedure import confirm
from twin.confirm.report import comparison_table
from twin.plots import comparison
from twin.plots.style import MEASURED, NEUTRAL, PREDICTED, VERDICT

PROBES_S = (2.0, 1.2)
"""Seconds of the calibration's probes: shorter than on the command line, because a student waits."""
_REASONS = 3
"""How many reasons of a void run are shown."""

_STYLE = f"""<style>
.proxytwin table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
.proxytwin th, .proxytwin td {{ padding: .2em .7em; text-align: right; }}
.proxytwin th:first-child, .proxytwin td:first-child, .proxytwin td.word {{ text-align: left; }}
.proxytwin tbody.variant {{ border-top: 1px solid #d1d5db; }}
.proxytwin .predicted td {{ color: {PREDICTED}; }}
.proxytwin .measured td {{ color: {MEASURED}; }}
.proxytwin .difference td {{ color: {NEUTRAL}; }}
.proxytwin td.beyond {{ color: {VERDICT["refuted"]}; font-weight: 600; }}
.proxytwin .verdict {{ color: #fff; border-radius: .3em; padding: .05em .5em; }}
</style>"""


def confirm_in_notebook(
    loaded: LoadedScenario, *, costs: Costs | None = None, repeats: int = 2
) -> Confirmation:
    """Predict and measure every variant of a scenario, and show the results.

    Parameters
    ----------
    loaded : LoadedScenario
        A scenario with short runs.
    costs : Costs, optional
        Costs of an earlier confirmation, ``found.calibration.costs``; without them, it calibrates first.
    repeats : int
        Real runs of every variant; two runs show the noise floor.

    Returns
    -------
    Confirmation
        The result of `twin.confirm.procedure.confirm`. A void run is reported, not repeated.
    """
    bars = NotebookBars()
    with bars.displayed():
        found = confirm(loaded, repeats=repeats, costs=costs, reporter=bars, probes_s=PROBES_S, tries=1)
    # One run of each variant does not show how certain their order is.
    display(HTML(summary_html(found if repeats > 1 else replace(found, rankings={}))))
    display(Picture(figure_of_confirmation(found.variants), picture_in_words(found.variants)))
    return found


def summary_html(found: Confirmation) -> str:
    """The table, the reasons why the run is void, and the conclusion, as HTML."""
    parts = [_STYLE, f"<div class='proxytwin'>{comparison_table(found)}</div>"]
    if found.void:
        parts.append(box(_void_in_words(found.void), VERDICT["void"], "Void: these runs prove nothing."))
    parts.append(box("\n".join([*conclusion(found), *how_judged(found)])))
    return "\n".join(parts)


def _void_in_words(void: Sequence[str]) -> str:
    """The first few reasons with what was measured, and what to do."""
    reasons = list(dict.fromkeys(void))
    lines = reasons[:_REASONS]
    if len(reasons) > _REASONS:
        lines.append(f"… and {len(reasons) - _REASONS} more.")
    lines.append("If other programs used much of the machine, close them. Then run the cell again.")
    return "\n".join(lines)


def figure_of_confirmation(outcomes: Sequence[VariantOutcome]) -> Figure:
    """Latency tails of both twins, one panel for each variant."""
    return comparison.latency_distributions(
        [outcome.variant.label for outcome in outcomes],
        [outcome.predicted_records for outcome in outcomes],
        [outcome.measured_records for outcome in outcomes],
        [outcome.variant.label for outcome in outcomes if outcome.unsettled],
    )


def picture_in_words(outcomes: Sequence[VariantOutcome]) -> str:
    """The figure as text, for readers who cannot see it."""
    said = (
        f"{outcome.variant.label}{' (void)' if outcome.verdict == 'void' else ''}: "
        f"p99 predicted {outcome.simulated.p99_ms:.0f} ms, "
        f"measured {outcome.measured.p99_ms:.0f} ms"
        for outcome in outcomes
    )
    return f"Latency tails, predicted and measured. {'; '.join(said)}."
