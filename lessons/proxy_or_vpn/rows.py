"""A table of texts that a notebook shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lessons.kit.display import table


class Rows:
    """Rows of text; a notebook shows them as a table.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of list of str
    colours : mapping of int to str
        The colours of some columns.
    """

    def __init__(self, head: Sequence[str], rows: Sequence[list[str]], colours: Mapping[int, str]) -> None:
        self.head, self.rows, self._colours = list(head), list(rows), dict(colours)

    def _repr_html_(self) -> str:
        shown = table(self.head, self.rows, self._colours)
        return shown.replace("text-align:right", "text-align:left")

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows)
