"""Latency: the request is delayed before it is processed."""

from __future__ import annotations

import time

from policies.reverse.faults import delay_of
from policies.settings.faults import Latency
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("latency")
class InjectedLatency:
    """Sleeps in the worker's thread, which is occupied for that time, as by any slow request."""

    def __init__(self, settings: Latency) -> None:
        self._settings = settings

    def inject(self, target: FaultTarget) -> None:
        """Sleep for a random delay."""
        with target.waits.blocking():
            time.sleep(delay_of(self._settings, target.rng))
