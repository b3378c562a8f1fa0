"""Latency: the request waits before anything is done for it."""

from __future__ import annotations

import time

from policies.reverse.faults import delay_of
from policies.settings.faults import Latency
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("latency")
class InjectedLatency:
    """Waits, in the worker's thread: as with any slow request, the thread is taken meanwhile."""

    def __init__(self, settings: Latency) -> None:
        self._settings = settings

    def inject(self, struck: FaultTarget) -> None:
        """See `realproxy.proxying.faults.base.Injected`."""
        with struck.waits.blocking():
            time.sleep(delay_of(self._settings, struck.rng))
