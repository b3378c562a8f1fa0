"""The interface of a fault, and the injection of a route's faults into a request.

Threads. All of this runs in the worker that owns the client.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from policies.reverse.faults import struck_by
from policies.settings.faults import Fault
from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.record import RequestRecord
from realproxy.runtime.blocking import BlockedThreads


class FaultTarget(NamedTuple):
    """The request that a fault is injected into.

    A fault that sleeps does so inside ``waits.blocking()``. `rng` is seeded with the proxy.
    """

    client: DownstreamConnection
    waits: BlockedThreads
    rng: random.Random


Injection = Callable[[Any, FaultTarget], None]
"""Injects a fault: waits, raises `LocalReply` or `Aborted`, or adds to ``client.send_filters``."""
KINDS: dict[str, Injection] = {}


def fault(kind: str) -> Callable[[Injection], Injection]:
    """Register the injection of a kind of fault."""

    def register(injection: Injection) -> Injection:
        KINDS[kind] = injection
        return injection

    return register


def inject(
    waits: BlockedThreads, rng: random.Random, faults: Sequence[Fault], client: DownstreamConnection,
    record: RequestRecord,
) -> None:  # fmt: skip
    """Draw which faults of a route apply to a request, inject these, and note them in its record."""
    target = FaultTarget(client, waits, rng)
    for chosen in struck_by(faults, rng):
        record.fault = f"{record.fault}+{chosen.kind}" if record.fault else chosen.kind
        KINDS[chosen.kind](chosen, target)
