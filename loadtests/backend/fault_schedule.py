"""The schedule of a scenario's `fail` and `slow_during` in a real run: when replicas are down or slow.

Threads: `FaultSchedule.begin` and `end` belong to one thread. Each run has another thread, which carries
out the steps of the schedule and ends with the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Afflicted(Protocol):
    """The interface of a replica that the schedule uses."""

    backend: str
    number: int

    def go_down(self) -> None:
        """Drop all requests, and refuse connections."""

    def come_up(self) -> None:
        """Accept connections, with an empty queue."""

    def work_slowly(self, factor: float) -> None:
        """Work that starts from now on takes `factor` times as long."""


Step = tuple[float, Callable[[], None]]
"""Seconds since the start of a run, and the action at this time."""


class FaultSchedule:
    """When each replica is down or slow.

    Parameters
    ----------
    spec : mapping
        Settings by backend; ``slow``, ``slow_during`` and ``fail`` are by replica number.
    replicas : sequence of Afflicted
        All replicas.
    """

    def __init__(self, spec: Mapping[str, Mapping[str, Any]], replicas: Sequence[Afflicted]) -> None:
        self._replicas = replicas
        self._steps = sorted(
            (step for replica in replicas for step in _steps(spec[replica.backend], replica)),
            key=lambda step: step[0],
        )
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, start: float) -> None:
        """Begin a run at `start`, on the monotonic clock."""
        self.end()
        if self._steps:
            self._over = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(start, self._over), name="fault schedule", daemon=True
            )
            self._thread.start()

    def end(self) -> None:
        """End the run, and reset all replicas to their state at the start."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            for replica in self._replicas:
                replica.come_up()
            for at, happen in self._steps:
                if at < 0:
                    happen()

    def _run(self, start: float, over: threading.Event) -> None:
        for at, happen in self._steps:
            if over.wait(max(start + at - time.monotonic(), 0.0)):
                return
            happen()


def _steps(settings: Mapping[str, Any], replica: Afflicted) -> list[Step]:
    """The steps of one replica; a negative time means a step before the start."""
    steps: list[Step] = []
    down = _of(settings, "fail", replica.number)
    if down is not None:
        steps += [(down[0], replica.go_down), (down[1], replica.come_up)]
    slow = _of(settings, "slow_during", replica.number)
    if slow is not None:
        factor = float(_of(settings, "slow", replica.number))
        steps.append((-1.0, lambda: replica.work_slowly(1.0)))
        steps.append((slow[0], lambda: replica.work_slowly(factor)))
        steps.append((slow[1], lambda: replica.work_slowly(1.0)))
    return steps


def _of(settings: Mapping[str, Any], key: str, number: int) -> Any:
    """The value of one replica in a table; its keys are numbers, or texts after JSON."""
    table = settings.get(key) or {}
    return table.get(str(number), table.get(number))
