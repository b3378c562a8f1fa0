"""The calls between backends in the page about a confirmation."""

from __future__ import annotations

import html

from twin.confirm.compare import OF_CALLS
from twin.confirm.outcome import Confirmation, VariantOutcome
from twin.output.calls import CAPTION, HEADS, TITLE, call_cells, called


def calls_section(found: Confirmation) -> str:
    """A table of the calls to each service; empty if there are none."""
    if not found.call_metrics:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("variant", "service", "", *HEADS))
    body = "".join(map(_rows, found.variants))
    return (
        f'<h2>{TITLE}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        f'</table></div><p class="small">{CAPTION}</p>'
    )


def _rows(outcome: VariantOutcome) -> str:
    rows, label = "", html.escape(outcome.variant.label)
    sides = {"predicted": outcome.simulated, "measured": outcome.measured}
    for call in called(list(sides.values())):
        service = html.escape(call.partition("@")[0])
        for side, summary in sides.items():
            cells = "".join(f"<td>{cell}</td>" for cell in call_cells(call, summary.calls.get(call)))
            names = f"<td>{label}</td><td>{service}</td>" if side == "predicted" else "<td></td><td></td>"
            rows += f'<tr class="{side}">{names}<td class="word">{side}</td>{cells}</tr>'
            label = ""
        rps, mean, errors = (outcome.difference_text(f"{kind}.{call}", " ") for kind in OF_CALLS)
        rows += (
            '<tr class="difference"><td></td><td></td><td class="word">difference</td><td></td>'
            f"<td>{rps}</td><td>{mean}</td><td></td><td>{errors}</td></tr>"
        )
    return rows
