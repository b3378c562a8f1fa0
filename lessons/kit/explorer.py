"""Sliders above a figure. A saved notebook keeps the figure, although no widget lives longer than its kernel.

An explorer makes two outputs of a cell: the widget, and the figure once more as a plain picture. The picture
follows the sliders, so a notebook is saved with the last one; only after the page was loaded again, without
running the cell again, the saved picture stays as it was. In JupyterLab, Notebook 7 and pages that nbconvert
makes, a style hides one of the two: the picture while the widget is alive, else what stands in place of a
widget without a kernel. Other programs that run notebooks show both.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import ipywidgets as widgets
from IPython.display import display
from matplotlib.figure import Figure

from lessons.kit.display import img, png

_LIVE, _SAVED = "proxytwin-live", "proxytwin-saved"
_ONE_OF_TWO = (
    f"<style>.jp-OutputArea-child:has(.{_LIVE}) + .jp-OutputArea-child:has(.{_SAVED}), "
    f".jp-OutputArea-child:not(:has(.{_LIVE})):has(+ .jp-OutputArea-child .{_SAVED}) "
    "{ display: none; }</style>"
)


class Drawn(NamedTuple):
    """What an explorer shows for the values of its controls.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    description : str
        The figure as text, for readers who cannot see it.
    note : str
        A line below the figure; may be empty.
    """

    figure: Figure
    description: str
    note: str = ""


class LivePicture(widgets.HTML):  # type: ignore[misc]
    """The picture inside an explorer.

    Attributes
    ----------
    data : bytes
        A PNG file.
    alt : str
        The same information as text.
    """

    data = b""
    alt = ""

    def show(self, figure: Figure, alt: str) -> None:
        """Draw a figure, in place of the one before."""
        self.data, self.alt = png(figure), alt
        self.value = img(self.data, alt)


class Explorer(widgets.VBox):  # type: ignore[misc]
    """Controls above a figure that is drawn anew when one of them moves.

    A subclass defines `draw`. Its constructor makes the controls, and then calls this one.

    Parameters
    ----------
    controls : sequence of widgets

    Attributes
    ----------
    controls : tuple of widgets
    picture : LivePicture
    """

    def __init__(self, controls: Sequence[widgets.Widget]) -> None:
        self.controls = tuple(controls)
        self.picture = LivePicture(layout=widgets.Layout(max_width="100%"))
        self._note = widgets.Label()
        self._display_id, self._displayed = uuid4().hex, False
        super().__init__([*self.controls, self.picture, self._note])
        self.add_class(_LIVE)
        for control in self.controls:
            control.observe(self._redraw, "value")
        self._redraw()

    def draw(self) -> Drawn:
        """The figure for the present values of the controls."""
        raise NotImplementedError

    @property
    def setting(self) -> str:
        """The present values of the controls, in words."""
        return ", ".join(f"{control.description}: {_written(control)}" for control in self.controls)

    def _redraw(self, _change: object = None) -> None:
        drawn = self.draw()
        self.picture.show(drawn.figure, f"{drawn.description} ({self.setting})")
        self._note.value = drawn.note
        if self._displayed:
            self._display_saved(update=True)

    def _ipython_display_(self) -> None:
        """Called by IPython to display this object."""
        display({**self._repr_mimebundle_(), "text/plain": "Run this cell to move the sliders."}, raw=True)
        self._display_saved()
        self._displayed = True

    def _display_saved(self, update: bool = False) -> None:
        data, alt, setting = self.picture.data, self.picture.alt, html.escape(self.setting)
        bundle = {
            "image/png": base64.b64encode(data).decode("ascii"),
            "text/html": f"<div class='{_SAVED}'>{img(data, alt)}<p>{setting}</p></div>{_ONE_OF_TWO}",
            "text/plain": alt,
        }
        metadata = {"image/png": {"alt": alt}}
        display(bundle, metadata=metadata, raw=True, display_id=self._display_id, update=update)


def slider(
    value: float, span: tuple[float, float, float], description: str, name_em: float = 15.0
) -> widgets.Widget:
    """A slider for an explorer; for whole numbers if all of `span` are.

    Parameters
    ----------
    value : float
        Its first position.
    span : tuple of float
        Minimum, maximum, step.
    description : str
        Its name, in a space of `name_em` widths of a letter.
    """
    whole = all(isinstance(number, int) for number in span)
    kind, form = (widgets.IntSlider, "d") if whole else (widgets.FloatSlider, ".1f")
    low, high, step = span
    return kind(
        value, min=low, max=high, step=step, description=description, readout_format=form,
        continuous_update=False, **wide(name_em),
    )  # fmt: skip


def wide(name_em: float = 15.0) -> dict[str, Any]:
    """Style and layout of a control whose name has a space of `name_em` widths of a letter."""
    layout = widgets.Layout(width=f"{name_em + 21:g}em")
    return {"style": {"description_width": f"{name_em:g}em"}, "layout": layout}


def _written(control: widgets.Widget) -> str:
    value = getattr(control, "label", control.value)  # a list has labels for its values
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
