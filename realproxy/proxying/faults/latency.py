"""Latency: the request is delayed before it is processed."""

from __future__ import annotations

import time

from policies.reverse.faults import delay_of
from policies.settings.faults import Latency
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("latency")
def inject_latency(settings: Latency, target: FaultTarget) -> None:
    """Sleep for a random delay. The worker's thread is occupied, as by any slow request."""
    with target.waits.blocking():
        time.sleep(delay_of(settings, target.rng))
