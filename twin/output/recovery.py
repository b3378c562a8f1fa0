"""A table of what comes after an outage: are clients served well again, and when?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scenarios.records import Summary
from scenarios.recovery import WELL
from twin.output.by_side import sheet_by_side
from twin.output.sheet import Sheet

TITLE = "After the outage"
HEADS = ["healed", "after, s"]
CAPTION = f"healed: share of the runs; after: seconds until {WELL:.0%} of the answers are good, and stay so"


def recovery_table(labels: Sequence[str], sides: Mapping[str, Sequence[Summary]]) -> Sheet | None:
    """Whether and when the clients of each variant were served well again.

    Parameters
    ----------
    labels : sequence of str
        Names of the variants.
    sides : mapping of str to sequence of Summary
        ``predicted``, ``measured`` or both.

    Returns
    -------
    Sheet or None
        None if no server had an outage.
    """
    if all(summary.recovery_ratio is None for summaries in sides.values() for summary in summaries):
        return None
    return sheet_by_side(TITLE, HEADS, CAPTION, labels, sides, recovery_cells)


def recovery_cells(summary: Summary) -> list[str]:
    """Whether and when clients were served well again."""
    ratio, seconds = summary.recovery_ratio, summary.recovery_s
    return ["–" if ratio is None else f"{ratio:.0%}", "–" if seconds is None else f"{seconds:.2f}"]
