"""A replica: some slots, a queue before them, and a speed."""

from __future__ import annotations

from collections.abc import Iterator

from simpy import Environment, Event

from scenarios.schema import BackendSettings
from simulator.slots import Slots, StepSeries


class Replica:
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
        self._env = env
        self._slots = Slots(env, settings.concurrency)
        self._slowness = settings.slowness(number)
        self._extra = service_extra
        self.inside = StepSeries(env)

    def serve(self, demand: float) -> Iterator[Event]:
        """Wait for a slot, then hold it for `demand` seconds of work at this replica's speed."""
        self.inside.add(1)
        turn = self._slots.enter()
        if turn is not None:
            yield turn
        yield self._env.timeout(demand * self._slowness + self._extra)
        self._slots.leave()
        self.inside.add(-1)
