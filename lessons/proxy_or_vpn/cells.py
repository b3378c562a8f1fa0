"""The student's predictions: a table of cells that change with each click."""

from __future__ import annotations

import functools

import ipywidgets as widgets
from matplotlib import rc_context
from matplotlib.axes import Axes

from lessons.kit.explorer import Drawn, Explorer, wide
from lessons.kit.panels import FIXED_STYLE, two_panels
from lessons.proxy_or_vpn.rows import Rows
from twin.exposure import Cell, Exposure, Item, Observer, Way
from twin.exposure.picture import LEGEND, cell_legend, look
from twin.exposure.vocabulary import MARK
from twin.plots.style import INK, MEASURED, NEUTRAL, PREDICTED

WAYS = (Way.CONNECT, Way.SOCKS5, Way.INTERCEPT, Way.REVERSE, Way.VPN)
"""The columns that a student predicts."""
_NEXT: dict[Cell | None, Cell | None] = {
    None: Cell.SEEN,
    Cell.SEEN: Cell.DERIVABLE,
    Cell.DERIVABLE: Cell.UNSEEN,
    Cell.UNSEEN: None,
}
_COLUMN = "8.5em"
COLOURS = {"measured": MEASURED, "modelled": PREDICTED}

Place = tuple[Observer, Item, Way]


class CellPredictions(Explorer):
    """A table of cells for one observer at a time, and a picture of guesses beside results.

    A click on a cell goes on from ``?`` to seen, derivable, not seen, and back.

    Attributes
    ----------
    observer : widgets.Dropdown
    buttons : dict of (Item, Way) to widgets.Button
    guesses : dict of (Observer, Item, Way) to Cell
    """

    def __init__(self) -> None:
        self.guesses: dict[Place, Cell] = {}
        self._found: Exposure | None = None
        self.observer = widgets.Dropdown(
            options={str(one): one for one in Observer},
            value=Observer.LOCAL,
            description="observer",
            **wide(),
        )
        self.buttons = {(item, way): self._button(item, way) for item in Item for way in WAYS}
        super().__init__([self.observer])
        self.children = (self.observer, self._grid(), *self.children[1:])

    def _button(self, item: Item, way: Way) -> widgets.Button:
        button = widgets.Button(
            description="?", tooltip=f"{item}, {way}", layout=widgets.Layout(width=_COLUMN)
        )
        button.on_click(functools.partial(self._clicked, item, way))
        return button

    def _grid(self) -> widgets.GridBox:
        cells: list[widgets.Widget] = [widgets.Label(), *(widgets.Label(str(way)) for way in WAYS)]
        for item in Item:
            cells += [widgets.Label(str(item)), *(self.buttons[item, way] for way in WAYS)]
        columns = f"11em repeat({len(WAYS)}, 9em)"
        return widgets.GridBox(cells, layout=widgets.Layout(grid_template_columns=columns))

    def _clicked(self, item: Item, way: Way, _button: object = None) -> None:
        place = (self.observer.value, item, way)
        guess = _NEXT[self.guesses.pop(place, None)]
        if guess is not None:
            self.guesses[place] = guess
        self._redraw()

    def measured(self, found: Exposure) -> Rows:
        """Show the results beside the guesses from now on; returns all guesses with their results."""
        self._found = found
        self._redraw()
        return self._compared(found)

    def _compared(self, found: Exposure) -> Rows:
        """The guesses, wrong ones first, or an invitation to make some."""
        kind = self._kind(found)
        rows = []
        for (who, item, way), guess in self.guesses.items():
            truth = found.cells(way)[who, item]
            verdict = "right" if truth is guess else "wrong"
            rows.append([f"{who}, {item}, {way}", str(guess), str(truth), verdict])
        rows.sort(key=lambda row: row[-1] == "right")
        last = self._note_text() if rows else "No predictions: click some cells in step 1."
        rows.append([last, "", "", ""])
        return Rows(["cell", "your prediction", kind, "you were"], rows, {2: COLOURS[kind]})

    @staticmethod
    def _kind(found: Exposure) -> str:
        return "measured" if all(map(found.measured, WAYS)) else "modelled"

    @property
    def unmeasured(self) -> list[str]:
        """The columns that have no result yet."""
        return [str(way) for way in WAYS if self._found is None or way not in self._found.ways]

    @property
    def right(self) -> int:
        """How many guesses are right so far."""
        found = self._found
        if found is None:
            return 0
        return sum(found.cells(way)[who, item] is guess for (who, item, way), guess in self.guesses.items())

    def draw(self) -> Drawn:
        """Guesses at the left, results at the right."""
        observer = self.observer.value
        for (item, way), button in self.buttons.items():
            guess = self.guesses.get((observer, item, way))
            button.description = "?" if guess is None else MARK[guess]
        mine = {(item, way): self.guesses.get((observer, item, way)) for item in Item for way in WAYS}
        found, kind = self._found, "measured"
        truth: dict[tuple[Item, Way], Cell | None] = dict.fromkeys(mine)
        if found is not None:
            truth = {(item, way): found.cells(way)[observer, item] for item, way in mine}
            kind = self._kind(found)
        with rc_context(FIXED_STYLE):
            figure, left, right = two_panels()
            figure.set_size_inches(10.0, 4.2)
            figure.subplots_adjust(left=0.14, top=0.79, bottom=0.12, wspace=0.06)
            _draw(left, mine, f"{observer}: your predictions", INK)
            _draw(right, truth, f"{observer}: {kind}", COLOURS[kind])
            right.set_yticklabels([])
            figure.legend(handles=cell_legend(), loc="upper center", ncols=3, fontsize=9, title=LEGEND)
        return Drawn(figure, f"{observer}: {_in_words(truth, kind)}", self._note_text())

    def _note_text(self) -> str:
        if not self.guesses:
            return "No predictions yet: click the cells above the picture."
        if self._found is None:
            return f"Predicted cells so far: {len(self.guesses)}. The measurement comes in step 4."
        return f"Predicted cells: {len(self.guesses)}, right: {self.right}."

    def __repr__(self) -> str:
        return self._note_text()


def _draw(axes: Axes, cells: dict[tuple[Item, Way], Cell | None], title: str, colour: str) -> None:
    places = {kind: ([], []) for kind in (*Cell, None)}  # type: dict[Cell | None, tuple[list[int], list[int]]]
    for (item, way), cell in cells.items():
        places[cell][0].append(WAYS.index(way))
        places[cell][1].append(list(Item).index(item))
    for kind, (x, y) in places.items():
        if kind is None:
            axes.plot(x, y, ls="", marker="$?$", ms=6, color=NEUTRAL)
        else:
            axes.plot(x, y, **look(kind, colour))
    axes.set_title(title)
    axes.set_xticks(range(len(WAYS)), list(WAYS), fontsize=7.5)
    axes.set_yticks(range(len(Item)), list(Item), fontsize=8.5)
    axes.set(xlim=(-0.6, len(WAYS) - 0.4), ylim=(len(Item) - 0.4, -0.6))
    axes.tick_params(length=0)


def _in_words(cells: dict[tuple[Item, Way], Cell | None], kind: str) -> str:
    if None in cells.values():
        return "nothing is measured yet"
    said = []
    for way in WAYS:
        seen = [str(item) for item in Item if cells[item, way] is Cell.SEEN]
        said.append(f"{way}: {', '.join(seen) or 'nothing'}")
    return f"{kind}, seen in the bytes: {'; '.join(said)}"


def predict_cells() -> CellPredictions:
    """A table of cells to predict, as `CellPredictions`."""
    return CellPredictions()
