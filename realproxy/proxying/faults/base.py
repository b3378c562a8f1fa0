"""What every fault is, and how those of a route strike a request.

Runs in the worker that owns the client.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from policies.reverse.faults import struck_by
from policies.settings.faults import Fault
from realproxy.downstream.connection import DownstreamConnection
from realproxy.messages.record import RequestRecord
from realproxy.runtime.blocking import BlockedThreads


class FaultTarget:
    """A request that a fault has struck.

    Attributes
    ----------
    client : DownstreamConnection
        Who asks.
    record : RequestRecord
        The record.
    waits : BlockedThreads
        Where a worker that waits is counted.
    rng : random.Random
        Where further chance comes from.
    """

    __slots__ = ("client", "record", "rng", "waits")

    def __init__(
        self, client: DownstreamConnection, record: RequestRecord, waits: BlockedThreads, rng: random.Random
    ) -> None:
        self.client, self.record, self.waits, self.rng = client, record, waits, rng


class Injected(Protocol):
    """A kind of fault, made from its settings."""

    def inject(self, target: FaultTarget) -> None:
        """Do it: wait, end the request by `Refusal` or `Cut`, or change how its answer is sent."""


KINDS: dict[str, Callable[[Any], Injected]] = {}


def fault(kind: str) -> Callable[[type[Any]], type[Any]]:
    """A class decorator: `kind` in the settings is this class, which is made from the fault's table."""

    def remember(injected: type[Any]) -> type[Any]:
        KINDS[kind] = injected
        return injected

    return remember


def inject(faults: Sequence[Fault], target: FaultTarget) -> None:
    """Let the faults of a route strike a request, as chance has it; the log names those that did."""
    for chosen in struck_by(faults, target.rng):
        record = target.record
        record.fault = f"{record.fault}+{chosen.kind}" if record.fault else chosen.kind
        KINDS[chosen.kind](chosen).inject(target)
