"""What happens to one request, or to one user, as a generator that its own events resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simpy import Event


class Life:
    """Runs a generator of events, from now on.

    Parameters
    ----------
    steps : iterator of simpy.Event
        Yields events that have not fired yet; goes on when they do.

    Notes
    -----
    A `simpy.Process` does the same and costs two events more, one to begin and one to tell that it
    has ended, which nobody here waits for.
    """

    __slots__ = ("_steps",)

    def __init__(self, steps: Iterator[Event]) -> None:
        self._steps = steps
        self._go_on(None)

    def _go_on(self, _event: Any) -> None:
        for event in self._steps:
            event.callbacks.append(self._go_on)
            return
