"""Progress bars in a terminal; if the output is not a terminal, nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from twin.progress import Advance


class Bars:
    """One progress bar per step, for a terminal or a notebook.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; standard error by default, so that standard output stays clean.
    """

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not (console.is_terminal or console.is_jupyter),
        )
        self._task = None

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, name: str, total: float, unit: str = "") -> Iterator[Advance]:
        """Start a bar of `total` units."""
        task = self._task = self._progress.add_task(name, total=total, note="")
        yield lambda amount: self._progress.update(task, advance=amount)
        self._progress.update(task, completed=total, note="")

    def note(self, text: str) -> None:
        """Write `text` next to the current bar."""
        if self._task is not None:
            self._progress.update(self._task, note=text)
