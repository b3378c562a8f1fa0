"""The simulated processes: a generator that events resume, waiting for the first of several, and a link.

On a link between two hops every message travels for its latency; messages do not queue for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from simpy import Environment, Event

from scenarios.latency import Latency
from scenarios.workload import Request
from simulator.routes import Reply

Asking = Generator[Event, None, Reply]
Handle = Callable[[Request, float], Asking]
"""Sends a request at a time, and returns when its reply is there."""


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


class Signal(Event):
    """Something to wait for that is no event of the simulation: `fire` resumes at once whoever waits."""

    def __init__(self) -> None:
        self.callbacks = []

    def fire(self) -> None:
        """Resume those who wait."""
        for callback in self.callbacks:
            callback(self)


def first(env: Environment, *events: Event) -> Event:
    """An event that fires when the first of `events` does.

    Nothing of it stays with the others: some of them outlive a million of such waits.
    """
    won = env.event()

    def fire(_event: Event) -> None:
        if not won.triggered:
            won.succeed()

    def let_go(_event: Event) -> None:
        for event in events:
            if event.callbacks is not None:
                event.callbacks.remove(fire)

    for event in events:
        assert event.callbacks is not None
        event.callbacks.append(fire)
    assert won.callbacks is not None
    won.callbacks.append(let_go)
    return won


def over_link(env: Environment, handle: Handle, latency: Latency | None) -> Handle:
    """`handle` at the other end of a link: the request takes the way there, the reply the way back."""
    if latency is None:
        return handle

    def linked(request: Request, _now: float) -> Asking:
        yield env.timeout(latency())
        reply = yield from handle(request, env.now)
        yield env.timeout(latency())
        return reply

    return linked
