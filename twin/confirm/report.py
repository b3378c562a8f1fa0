"""A self-contained HTML page about a confirmation: verdicts, table, figures, calibration."""

from __future__ import annotations

import base64
import html
import io
import math
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from policies.units import format_duration
from scenarios.records import Summary
from twin.confirm.calls_section import calls_section
from twin.confirm.compare import OF_CANARIES, OF_SERVICES, difference_text, kind
from twin.confirm.conclusion import conclusion, how_judged
from twin.confirm.outcome import Confirmation, VariantOutcome
from twin.output import recovery
from twin.output.services import CAPTION, TITLE, service_cells, service_heads
from twin.plots import comparison
from twin.plots.style import MEASURED, NEUTRAL, PREDICTED, TITLES, VERDICT

_FORMS = {"hit_ratio": ".3f", "error_ratio": ".4f", "fetch_rps": ".3g", "fetches_per_expiry": ".3g"}
_PAGE = string.Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))


def confirmation_page(found: Confirmation, beside: Mapping[str, Confirmation] = MappingProxyType({})) -> str:
    """The page as HTML; it contains its figures and loads nothing.

    Parameters
    ----------
    found : Confirmation
        What the pictures show.
    beside : mapping of str to Confirmation
        Of other real twins with the same variants, by their titles; each has a table.
    """
    parts = [
        *(f'<p class="lead">{html.escape(line)}</p>' for line in conclusion(found)),
        _void(found),
        _unsettled(found),
        "<h2>Prediction beside measurement</h2>",
        comparison_table(found),
        _reading(found),
        _services(found),
        calls_section(found),
        _recoveries(found),
        _caches(found),
        *(part for title, other in beside.items() for part in _beside(title, other)),
        *_pictures(found),
        "<h2>Calibration</h2>",
        _calibration(found),
    ]
    return _PAGE.substitute(
        title=html.escape(found.scenario.title),
        name=html.escape(found.name),
        seed=found.scenario.seed,
        predicted=PREDICTED,
        measured=MEASURED,
        grey=NEUTRAL,
        body="\n".join(part for part in parts if part),
    )


def _beside(title: str, found: Confirmation) -> Iterable[str]:
    """The part of the page about another real twin, with its own costs."""
    yield f"<h2>{html.escape(title)}: prediction beside measurement</h2>"
    yield from (f'<p class="small">{html.escape(line)}</p>' for line in [*conclusion(found), *found.of_real])
    yield _void(found)
    yield comparison_table(found)
    yield _calibration(found)


def _void(found: Confirmation) -> str:
    if not found.void:
        return ""
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in found.void)
    return f'<div class="void"><strong>Void.</strong> These runs prove nothing:<ul>{items}</ul></div>'


def _unsettled(found: Confirmation) -> str:
    if not found.unsettled:
        return ""
    items = "".join(
        f"<li>{html.escape(label)}: {html.escape(reason)}.</li>" for label, reason in found.unsettled.items()
    )
    return f'<div class="void"><strong>Never settles.</strong><ul>{items}</ul></div>'


def comparison_table(found: Confirmation) -> str:
    """Predicted, measured and difference of every variant, and the noise floor, as an HTML table."""
    columns = found.metrics
    head = "".join(f"<th>{TITLES[name]}</th>" for name in columns)
    body = "".join(_rows(outcome, columns) for outcome in found.variants)
    floors = (difference_text(found.noise[name], name, sign="", space=" ") for name in columns)
    noise = "".join(f"<td>{floor}</td>" for floor in floors)
    return (
        f'<div class="scroll"><table><thead><tr><th>variant</th><th></th>{head}</tr></thead>{body}'
        '<tbody class="variant difference"><tr><td>all variants</td><td class="word">noise floor</td>'
        f"{noise}</tr></tbody>"
        "</table></div>"
    )


def _rows(outcome: VariantOutcome, columns: list[str]) -> str:
    def figures(summary: Summary) -> str:
        return "".join(f"<td>{_figure(getattr(summary, name), name)}</td>" for name in columns)

    label = html.escape(outcome.variant.label)
    badge = f'<span class="verdict" style="background:{VERDICT[outcome.verdict]}">{outcome.verdict}</span>'
    apart = "".join(_difference_cell(outcome, name) for name in columns)
    return (
        f'<tbody class="variant"><tr class="predicted"><td><strong>{label}</strong></td>'
        f'<td class="word">predicted</td>{figures(outcome.simulated)}</tr>'
        f'<tr class="measured"><td>{badge}</td><td class="word">measured</td>{figures(outcome.measured)}</tr>'
        f'<tr class="difference"><td></td><td class="word">difference</td>{apart}</tr></tbody>'
    )


def _figure(value: float | None, name: str) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{_FORMS.get(name, '.1f')}}"


def _difference_cell(outcome: VariantOutcome, name: str) -> str:
    mark = ' class="beyond"' if outcome.beyond(name) else ""
    return f"<td{mark}>{outcome.difference_text(name, ' ')}</td>"


def _reading(found: Confirmation) -> str:
    return (
        f'<p class="small">{" ".join(map(html.escape, how_judged(found)))} '
        "A prediction is <em>refuted</em> if a judged figure is beyond its tolerance and also beyond the "
        "noise floor, the difference between two real runs of the same requests. If it is beyond its "
        "tolerance but not beyond the noise floor, the prediction is <em>inconclusive</em>.</p>"
    )


def _services(found: Confirmation) -> str:
    """A table of the services with their shares, errors and rollbacks, if there are several."""
    names = found.service_metrics
    if not names:
        return ""
    services = [name.partition(".")[2] for name in names if kind(name) == "service_share"]
    watched = "rollback_s" in names
    columns = [f"{what}.{name}" for name in services for what in OF_SERVICES]
    columns += OF_CANARIES if watched else ()
    head = "".join(f"<th>{html.escape(head)}</th>" for head in service_heads(services, watched=watched))
    rows = ""
    for outcome in found.variants:
        for side, summary in (("predicted", outcome.simulated), ("measured", outcome.measured)):
            label = html.escape(outcome.variant.label) if side == "predicted" else ""
            cells = "".join(f"<td>{cell}</td>" for cell in service_cells(summary, services, watched=watched))
            rows += f'<tr class="{side}"><td>{label}</td><td class="word">{side}</td>{cells}</tr>'
        apart = "".join(_difference_cell(outcome, name) for name in columns)
        rows += f'<tr class="difference"><td></td><td class="word">difference</td>{apart}</tr>'
    floors = "".join(
        f"<td>{difference_text(found.noise.get(name), name, sign='', space=' ')}</td>" for name in columns
    )
    return (
        f"<h2>{TITLE}</h2>"
        f'<div class="scroll"><table><thead><tr><th>variant</th><th></th>{head}</tr></thead><tbody>{rows}'
        f'<tr class="difference"><td>all variants</td><td class="word">noise floor</td>{floors}</tr></tbody>'
        f"</table></div>" + (f'<p class="small">{CAPTION}</p>' if watched else "")
    )


def _recoveries(found: Confirmation) -> str:
    """A table of what came after the outage, if there was one."""
    if all(outcome.measured.recovery_ratio is None for outcome in found.variants):
        return ""
    head = "".join(
        f"<th>{name}, {side}</th>" for side in ("predicted", "measured") for name in recovery.HEADS
    )
    rows = "".join(
        f"<tr><td>{html.escape(outcome.variant.label)}</td>"
        + "".join(
            f"<td>{cell}</td>"
            for summary in (outcome.simulated, outcome.measured)
            for cell in recovery.recovery_cells(summary)
        )
        + "</tr>"
        for outcome in found.variants
    )
    return (
        f"<h2>{recovery.TITLE}</h2>"
        f'<div class="scroll"><table><thead><tr><th>variant</th>{head}</tr></thead><tbody>{rows}</tbody>'
        f'</table></div><p class="small">{recovery.CAPTION}</p>'
    )


def _caches(found: Confirmation) -> str:
    """A table with the share of each cache of several proxies."""
    proxies = list(found.variants[0].measured.cache_share)
    if not proxies:
        return ""
    head = "".join(f"<th>{name}, {side}</th>" for name in proxies for side in ("predicted", "measured"))
    rows = "".join(
        f"<tr><td>{html.escape(outcome.variant.label)}</td>"
        + "".join(
            f"<td>{summary.cache_share[name]:.3f}</td>"
            for name in proxies
            for summary in (outcome.simulated, outcome.measured)
        )
        + "</tr>"
        for outcome in found.variants
    )
    return (
        "<h2>Share of requests that each cache answered</h2>"
        f'<div class="scroll"><table><thead><tr><th>variant</th>{head}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _pictures(found: Confirmation) -> Iterable[str]:
    labels = [outcome.variant.label for outcome in found.variants]
    said = [outcome.simulated for outcome in found.variants]
    seen = [outcome.measured for outcome in found.variants]
    records = [o.predicted_records for o in found.variants], [o.measured_records for o in found.variants]
    yield "<h2>Latency distributions</h2>"
    yield _image(
        comparison.latency_distributions(labels, *records, found.unsettled),
        f"Share of requests slower than a time, predicted and measured. {_in_words(found, 'p99_ms')}",
    )
    yield "<h2>Percentiles by variant</h2>"
    yield _image(
        comparison.percentiles_by_variant(labels, said, seen, found.unsettled),
        f"Bars of percentiles, predicted beside measured. {_in_words(found, 'p50_ms', 'p95_ms', 'p99_ms')}",
    )
    if any(summary.hit_ratio is not None for summary in seen):
        yield "<h2>Hit ratio</h2>"
        yield _image(
            comparison.hits_by_variant(labels, said, seen),
            f"Bars of hit ratios, predicted beside measured. {_in_words(found, 'hit_ratio')}",
        )
    yield "<h2>Share of each upstream</h2>"
    yield _image(
        comparison.shares_by_variant(labels, said, seen),
        f"Bars of each upstream's share, predicted beside measured. {_shares_in_words(found)}",
    )


def _in_words(found: Confirmation, *metrics: str) -> str:
    """The figures that a picture shows, for readers who cannot see it."""
    said = []
    for outcome in found.variants:
        pairs = (
            f"{TITLES[name]}, {_figure(getattr(outcome.simulated, name), name)} predicted and "
            f"{_figure(getattr(outcome.measured, name), name)} measured"
            for name in metrics
        )
        never = " (never settles)" if outcome.unsettled else ""
        said.append(f"{outcome.variant.label}{never}: {'; '.join(pairs)}.")
    return " ".join(said)


def _shares_in_words(found: Confirmation) -> str:
    said = []
    for outcome in found.variants:
        measured = outcome.measured.upstream_share
        pairs = (
            f"{name} {share:.0%} predicted and {measured.get(name, 0.0):.0%} measured"
            for name, share in outcome.simulated.upstream_share.items()
        )
        said.append(f"{outcome.variant.label}: {'; '.join(pairs)}.")
    return " ".join(said)


def _image(figure: Figure, description: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{data}">'


def _calibration(found: Confirmation) -> str:
    costs = found.calibration.costs
    meaning = {
        "client_link": "between client and proxy, both ways",
        "upstream_link": "between proxy and backend, both ways",
        "hit_cpu": "CPU time of the proxy, response from the cache",
        "miss_cpu": "CPU time of the proxy, response from a backend",
        "service_extra": "slot of a backend, beyond the demanded work",
    }
    known = [(text, getattr(costs, name)) for name, text in meaning.items()]
    scenario = found.variants[0].variant.scenario
    tiers = scenario.topology.tiers
    for tier, behind in enumerate(costs.behind, 1):
        those = ", ".join(name for name, own in zip(scenario.proxies, tiers, strict=True) if own == tier)
        of_hop = ("upstream_link", "hit_cpu", "miss_cpu")
        known += [(f"{those}: {meaning[name]}", getattr(behind, name)) for name in of_hop if those]
    if costs.sidecar is not None:
        of_sidecar = ("upstream_link", "miss_cpu")
        known += [(f"each sidecar: {meaning[name]}", getattr(costs.sidecar, name)) for name in of_sidecar]
    rows = "".join(
        f"<tr><td>{text}</td><td>{format_duration(round(seconds, 7))}</td></tr>" for text, seconds in known
    )
    samples = found.calibration.samples
    said = (
        f"Measured on the idle system before the comparison, with {samples['miss']} responses from the "
        f"backend and {samples['hit']} from the cache."
        if samples
        else "Given by the caller, not measured."
    )
    return f'<p class="small">{said}</p><table><tbody>{rows}</tbody></table>'
