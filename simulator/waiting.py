"""Waiting for whatever comes first."""

from __future__ import annotations

from simpy import Environment, Event


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
