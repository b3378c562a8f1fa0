"""A table of the calls between backends: how many, how long they took, and how many failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scenarios.call_records import CallFigures
from scenarios.records import Summary
from twin.output.sheet import Sheet

TITLE = "Calls between services, as their callers see them"
CAPTION = "depth: calls that lead there; response times in ms, with both sidecars, queues and retries"
HEADS = ("depth", "calls/s", "mean", "p99", "errors")


def calls_table(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]]) -> Sheet | None:
    """Rate, response times and errors of the calls to each service.

    Parameters
    ----------
    labels : sequence of str
        Names of the variants.
    sides : mapping of str to sequence of Summary
        ``predicted``, ``measured`` or both.

    Returns
    -------
    Sheet or None
        None if no backend calls another.
    """
    if not any(summary.calls for summaries in sides.values() for summary in summaries):
        return None
    several, variants = len(sides) > 1, len(labels) > 1
    names = ["variant"] * variants + ["service"] + [""] * several
    sheet = Sheet(TITLE, names, HEADS, CAPTION, sides=several)
    for number, label in enumerate(labels):
        summaries = {side: of_side[number] for side, of_side in sides.items()}
        for line, call in enumerate(called(list(summaries.values()))):
            for place, (side, summary) in enumerate(summaries.items()):
                first = [label if not line and not place else ""] * variants
                name = [call.partition("@")[0] if not place else ""]
                cells = call_cells(call, summary.calls.get(call))
                sheet.add([*first, *name, *([side] if several else [])], cells, continues=place > 0)
    return sheet


def called(summaries: Sequence[Summary]) -> list[str]:
    """The services that are called, each with its depth, such as ``store@2``; from the clients' side."""
    found = dict.fromkeys(call for summary in summaries for call in summary.calls)
    return sorted(found, key=lambda call: int(call.rpartition("@")[2]))


def call_cells(call: str, figures: CallFigures | None) -> list[str]:
    """The figures of a row; dashes for what is unknown."""
    depth = call.rpartition("@")[2]
    if figures is None:
        return [depth, *["–"] * (len(HEADS) - 1)]
    times = ["–" if time is None else f"{time:.1f}" for time in (figures.mean_ms, figures.p99_ms)]
    errors = "–" if figures.error_ratio is None else f"{figures.error_ratio:.1%}"
    return [depth, f"{figures.rps:.1f}", *times, errors]
