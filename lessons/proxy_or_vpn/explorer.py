"""What the topology says: a way in a state, with and without encryption.

The widget has no logic. It calls the model, which a test compares with the measurement.
"""

from __future__ import annotations

import ipywidgets as widgets
from matplotlib import rc_context
from matplotlib.figure import Figure

from lessons.kit.explorer import Drawn, Explorer, wide
from lessons.kit.panels import FIXED_STYLE, two_panels
from twin.exposure import Cell, Item, Observer, State, Way
from twin.exposure.model import modelled
from twin.exposure.picture import LEGEND, cell_legend, draw_cells
from twin.exposure.vocabulary import TITLES, Finding, Visit, states_of
from twin.plots.style import PREDICTED


class ExposureExplorer(Explorer):
    """Lists of ways and states; a figure of who sees what, with and without encryption.

    Parameters
    ----------
    way : Way
        The first choice.

    Attributes
    ----------
    way, state : widgets
    """

    def __init__(self, way: Way) -> None:
        ways = {TITLES[one]: one for one in Way}
        self.way = widgets.Dropdown(options=ways, value=way, description="way", **wide())
        states = {str(one): one for one in State}
        self.state = widgets.Dropdown(options=states, value=State.CONNECTED, description="when", **wide())
        super().__init__([self.way, self.state])

    def draw(self) -> Drawn:
        """The modelled cells of the visit."""
        way, state = self.way.value, self.state.value
        note = ""
        if state not in states_of(way):
            note = f"{TITLES[way]}: there is no state “{state}”; the picture shows “{State.CONNECTED}”"
            state = State.CONNECTED
        with_it, without = (modelled(Visit(way, state, encrypted)) for encrypted in (True, False))
        said = f"With encryption: {_in_words(with_it)}. Without: {_in_words(without)}"
        return Drawn(figure_of_visit(way, with_it, without), said, note or _page(with_it))


def figure_of_visit(way: Way, with_it: Finding, without: Finding) -> Figure:
    """Items against observers, with encryption at the left and without at the right."""
    with rc_context(FIXED_STYLE):
        figure, left, right = two_panels()
        figure.set_size_inches(10.0, 5.2)
        figure.subplots_adjust(left=0.14, top=0.83, bottom=0.31, wspace=0.06)
        draw_cells(left, with_it.cells, f"{TITLES[way]}: encrypted", PREDICTED)
        draw_cells(right, without.cells, f"{TITLES[way]}: encryption off", PREDICTED)
        right.set_yticklabels([])
        figure.legend(handles=cell_legend(), loc="upper center", ncols=3, fontsize=9, title=LEGEND)
    return figure


def _in_words(found: Finding) -> str:
    said = []
    for who in Observer:
        seen = [str(item) for item in Item if found.cells[who, item] is Cell.SEEN]
        said.append(f"{who}: {', '.join(seen) or 'nothing'}")
    return "; ".join(said)


def _page(found: Finding) -> str:
    return "The program gets its page." if found.answered else "The program gets no page."


def explore_exposure(way: Way = Way.VPN) -> ExposureExplorer:
    """Lists of ways and states, as an `ExposureExplorer`."""
    return ExposureExplorer(way)
