"""Progress bars in a notebook. They are widgets, so they leave no text in its outputs."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ipywidgets as widgets
from IPython.display import HTML, display

from realproxy.runtime.system import check_system
from twin.progress import Advance


class NotebookBars:
    """A `twin.progress.Reporter` for a notebook, inside the context `displayed`.

    Attributes
    ----------
    panel : widgets.VBox
        One row for each step: its name, its bar, and a note or the time that it took.
    """

    def __init__(self) -> None:
        self.panel = widgets.VBox()
        self._note: widgets.Label | None = None

    @contextmanager
    def displayed(self) -> Iterator[None]:
        """Show the bars of a real run; at the end text takes their place, which a saved notebook keeps.

        Raises `realproxy.runtime.system.NeedsLinux` on another system.
        """
        check_system()
        shown = display(self.panel, display_id=True)
        try:
            yield
        finally:
            if shown is not None:
                shown.update(HTML("<br>".join(map(self._row_as_text, self.panel.children))))

    @staticmethod
    def _row_as_text(row: widgets.HBox) -> str:
        name, _, note = row.children
        return html.escape(f"{name.value}: {note.value}")

    @contextmanager
    def step(self, name: str, total: float, unit: str = "") -> Iterator[Advance]:
        """Start a bar of `total` units; it turns red if the step fails."""
        bar = widgets.FloatProgress(0.0, max=total, bar_style="info", layout=widgets.Layout(width="22em"))
        note = self._note = widgets.Label()
        row = widgets.HBox([widgets.Label(name, layout=widgets.Layout(width="8em")), bar, note])
        self.panel.children = (*self.panel.children, row)
        started = time.perf_counter()

        def advance(amount: float) -> None:
            bar.value = min(bar.value + amount, total)

        done = False
        try:
            yield advance
            done = True
        finally:
            bar.bar_style = "success" if done else "danger"
            note.value = f"{time.perf_counter() - started:.1f} s" if done else f"stopped at: {note.value}"
        bar.value = total

    def note(self, text: str) -> None:
        """Write `text` next to the current bar."""
        if self._note is not None:
            self._note.value = text
