"""How a long job reports its progress; `twin.cli.progress_bars` shows it in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[float], None]


class Reporter(Protocol):
    """Shows the steps of a long job."""

    def step(self, name: str, total: float, unit: str = "") -> AbstractContextManager[Advance]:
        """Begin a step of `total` units; the value advances it."""
        ...

    def note(self, text: str) -> None:
        """Say what the present step is at."""
        ...


class Quiet:
    """A reporter that shows nothing."""

    @contextmanager
    def step(self, name: str, total: float, unit: str = "") -> Iterator[Advance]:
        """Begin a step; advancing it does nothing."""
        yield lambda _: None

    def note(self, text: str) -> None:
        """Say nothing."""
