"""A replica: some slots, a queue before them, and a speed."""

from __future__ import annotations

from simpy import Environment, Event

from scenarios.schema import BackendSettings
from simulator.slots import Slots, StepSeries


class Replica(Slots):
    """One server of a backend.

    Parameters
    ----------
    env : simpy.Environment
    settings : BackendSettings
        Concurrency and slowness.
    number : int
        Which replica of the backend this is.
    service_extra : float
        Seconds that a slot is held beyond the demanded work.

    Attributes
    ----------
    inside : StepSeries
        Requests that wait or are worked on.
    """

    def __init__(
        self, env: Environment, settings: BackendSettings, number: int, service_extra: float
    ) -> None:
        super().__init__(env, settings.concurrency)
        self.slowness, self.extra = settings.slowness(number), service_extra
        self.inside = StepSeries()

    def begin(self, demand: float, now: float) -> Event:
        """Queue `demand` seconds of work; the event fires when they are done, and `end` must follow."""
        self.inside.note(now)
        return self.hold(demand)

    def end(self, now: float) -> None:
        """Work that was begun is done: the next may begin."""
        self.inside.note(-now)
        self.leave()
