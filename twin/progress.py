"""How a long job reports its progress; `twin.cli.progress_bars` shows it in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[float], None]


class Reporter(Protocol):
    """Shows the progress of a long job."""

    def step(self, name: str, total: float, unit: str = "") -> AbstractContextManager[Advance]:
        """Start a step of `total` units; call the yielded function with each amount of progress."""
        ...

    def note(self, text: str) -> None:
        """Show a note for the current step."""
        ...


class Quiet:
    """A reporter that shows nothing."""

    @contextmanager
    def step(self, name: str, total: float, unit: str = "") -> Iterator[Advance]:
        """Start a step that shows nothing."""
        yield lambda _: None

    def note(self, text: str) -> None:
        """Show nothing."""
