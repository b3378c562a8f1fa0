"""A table of the services of a run, such as the arms of a split route: shares, errors, the rollback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from scenarios.records import Summary
from twin.output.by_side import sheet_by_side
from twin.output.sheet import Sheet

TITLE = "Services: share of the requests, and errors"
ROLLBACK_HEADS = {"rollback_ratio": "rolled back", "rollback_s": "after, s"}
"""The figures of a watched canary as headings."""
CAPTION = "rolled back: share of the runs, and seconds until the canary got its last request"


def services_table(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]]) -> Sheet | None:
    """Share and errors of each service, and when the canary was rolled back.

    Parameters
    ----------
    labels : sequence of str
        Names of the variants.
    sides : mapping of str to sequence of Summary
        ``predicted``, ``measured`` or both.

    Returns
    -------
    Sheet or None
        None if there are no several services.
    """
    every = [summary for summaries in sides.values() for summary in summaries]
    services = list(dict.fromkeys(name for summary in every for name in summary.services))
    if not services:
        return None
    watched = any(summary.rollback_ratio is not None for summary in every)
    heads = service_heads(services, watched=watched)
    cells = partial(service_cells, services=services, watched=watched)
    return sheet_by_side(TITLE, heads, CAPTION if watched else "", labels, sides, cells)


def service_heads(services: Sequence[str], *, watched: bool) -> list[str]:
    """The headings of `service_cells`."""
    heads = [f"{name}\n{what}" for name in services for what in ("share", "errors")]
    return heads + (list(ROLLBACK_HEADS.values()) if watched else [])


def service_cells(summary: Summary, services: Sequence[str], *, watched: bool) -> list[str]:
    """Share and errors of each service; with a canary also how often and when it was rolled back."""
    cells = []
    for name in services:
        figures = summary.services.get(name)
        cells.append("–" if figures is None else f"{figures.share:.1%}")
        cells.append("–" if figures is None or figures.error_ratio is None else f"{figures.error_ratio:.1%}")
    if watched:
        ratio, seconds = summary.rollback_ratio, summary.rollback_s
        cells.append("–" if ratio is None else f"{ratio:.0%}")
        cells.append("–" if seconds is None else f"{seconds:.2f}")
    return cells
