"""The interface of a fault, and the injection of a route's faults into a request.

Threads. All of this runs in the worker that owns the client.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

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
    record: RequestRecord
    waits: BlockedThreads
    rng: random.Random


class Injected(Protocol):
    """A fault of one kind, made from its settings."""

    def inject(self, target: FaultTarget) -> None:
        """Wait, end the request with `LocalReply` or `Aborted`, or append to ``client.send_filters``."""


KINDS: dict[str, Callable[[Any], Injected]] = {}


def fault(kind: str) -> Callable[[type[Any]], type[Any]]:
    """Register a class for a kind of fault; the class is constructed from the fault's settings."""

    def register(injected: type[Any]) -> type[Any]:
        KINDS[kind] = injected
        return injected

    return register


def inject(
    waits: BlockedThreads, rng: random.Random, faults: Sequence[Fault], client: DownstreamConnection,
    record: RequestRecord,
) -> None:  # fmt: skip
    """Draw which faults of a route apply to a request, inject these, and note them in its record."""
    target = FaultTarget(client, record, waits, rng)
    for chosen in struck_by(faults, rng):
        record.fault = f"{record.fault}+{chosen.kind}" if record.fault else chosen.kind
        KINDS[chosen.kind](chosen).inject(target)
