"""Two numbers side by side: formula and simulation, or prediction and measurement."""

from __future__ import annotations

from collections.abc import Mapping

from lessons.kit.difference import difference
from lessons.kit.display import table
from twin.plots.style import MEASURED, NEUTRAL, PREDICTED


class side_by_side:  # noqa: N801 - reads as a function in a lesson
    """A table that compares two numbers in each row: ``{"what": (formula, simulated, unit)}``.

    A number that is not known is None. `columns` are the headings of the two numbers. The difference has
    the sign of `lessons.kit.difference`: the first number minus the second.
    """

    def __init__(
        self,
        rows: Mapping[str, tuple[float | None, float | None, str]],
        columns: tuple[str, str] = ("formula", "simulated"),
    ) -> None:
        self._rows = dict(rows)
        self._columns = columns

    def _cells(self) -> list[list[str]]:
        return [
            [what, _written(formula, unit), _written(seen, unit), _apart(formula, seen, unit)]
            for what, (formula, seen, unit) in self._rows.items()
        ]

    def _repr_html_(self) -> str:
        colours = {2: {"simulated": PREDICTED, "measured": MEASURED}.get(self._columns[1], NEUTRAL)}
        return table(["", *self._columns, "difference"], self._cells(), colours)

    def __repr__(self) -> str:
        return "\n".join(" | ".join(cells) for cells in self._cells())


def _written(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.4g} {unit}"


def _apart(formula: float | None, seen: float | None, unit: str) -> str:
    return "–" if formula is None or seen is None else difference(formula, seen, unit)
