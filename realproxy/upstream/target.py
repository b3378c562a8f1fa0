"""Where a request goes: the upstreams that one request asks, one after the other, or two at once.

Runs in the worker that owns the client. All decisions are `policies.resilience`'s, taken under the
lock of the service; here is who is told of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.service import PickedUpstream, Service
from realproxy.upstream.transport import Ends

Place = tuple[Sequence[Address], bytes]
"""Addresses (further ones are for when the first cannot be reached), and the head to send there."""


class UpstreamTarget(Protocol):
    """Where a request goes, and where next if that fails.

    `begin` comes first and `finished` last. In between comes `failed` for every attempt that failed.
    If there is a `hedge_after`, there may be a `hedge`, and then a `swap` or a `drop`.
    """

    @property
    def hedge_after(self) -> float | None:
        """Seconds after which a second upstream is asked, if any is."""

    def begin(self) -> Place:
        """Where to; raises `Refusal` if the request may not go on."""

    def failed(self, *, refused: bool, repeatable: bool) -> Place | None:
        """The attempt failed: where to next, or None; see `policies.resilience.Attempts.again`."""

    def finished(self, failed: bool | None) -> None:
        """All is over, with the last upstream too; None: nobody knows how. Later calls do nothing."""

    def hedge(self) -> Place:
        """Where to ask at the same time."""

    def swap(self, failed: bool | None) -> None:
        """The hedge takes the place of the first, which has failed or (None) is cancelled."""

    def drop(self, failed: bool | None) -> None:
        """The hedge has failed, or (None) is cancelled."""

    def settled(self, failed: bool) -> None:
        """How it ends is known, but the upstream goes on: it switched protocols."""


class FixedTarget:
    """The way to one place, without any choice.

    Parameters
    ----------
    addresses : sequence of Address
        Where it is; further ones are for when the first cannot be reached.
    request : bytes
        The head to send.
    """

    __slots__ = ("_place",)
    hedge_after = None

    def __init__(self, addresses: Sequence[Address], request: bytes) -> None:
        self._place = addresses, request

    def begin(self) -> Place:
        """See `UpstreamTarget`."""
        return self._place

    def failed(self, *, refused: bool, repeatable: bool) -> Place | None:
        """See `UpstreamTarget`."""
        return None

    def finished(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        return

    def hedge(self) -> Place:
        """See `UpstreamTarget`."""
        return self._place

    def swap(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        return

    def drop(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        return

    def settled(self, failed: bool) -> None:
        """See `UpstreamTarget`."""


class ServiceTarget:
    """The way to a service.

    Parameters
    ----------
    service : Service
        Whose upstreams are asked.
    key : str
        What balancers with affinity hash by.
    exchange : RequestRecord
        The record to fill in.
    head_for : callable
        Makes the head to send, of the upstream's name.
    waits : BlockedThreads
        Where a request that waits in the service's queue is counted.
    ends : callable, optional
        Of the client's connection, for upstreams that are told of it.
    """

    __slots__ = (
        "_attempts", "_ends", "_entered", "_exchange", "_head_for", "_hedge", "_key", "_pick", "_service",
        "_waits", "hedge_after",
    )  # fmt: skip

    def __init__(
        self,
        service: Service,
        key: str,
        exchange: RequestRecord,
        head_for: Callable[[str], bytes],
        waits: BlockedThreads,
        ends: Ends | None = None,
    ) -> None:
        self._service, self._key, self._exchange, self._head_for = service, key, exchange, head_for
        self._waits, self._ends = waits, ends
        self.hedge_after = service.decisions.hedge_after
        self._attempts = service.attempts()
        self._entered: float | None = None
        self._hedge: PickedUpstream | None = None
        self._pick: PickedUpstream | None = None

    def begin(self) -> Place:
        """Pass the service's gate, if it has one, and pick an upstream."""
        if self._service.admission is not None:
            self._entered = self._service.admission.enter(self._waits)
        return self._go()

    def _go(self) -> Place:
        pick = self._pick = self._service.start(self._key, self._attempts.failed)
        self._exchange.upstream = pick.name
        self._exchange.attempts += 1
        return [self._address(pick)], self._head_for(pick.name)

    def _address(self, pick: PickedUpstream) -> Address:
        transport = self._service.transport
        return pick.address if transport is None else transport.endpoint(pick.address, self._ends)

    def failed(self, *, refused: bool, repeatable: bool) -> Place | None:
        """See `UpstreamTarget`."""
        assert self._pick is not None
        self._over(self._pick, True)
        if not self._service.again(self._attempts, refused=refused, repeatable=repeatable):
            return None
        return self._go()

    def finished(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        if self._pick is not None:
            self._pick.finish(failed)
        self._leave(failed)

    def settled(self, failed: bool) -> None:
        """See `UpstreamTarget`."""
        self._leave(failed)

    def _leave(self, failed: bool | None) -> None:
        entered, self._entered = self._entered, None
        if entered is not None and self._service.admission is not None:
            self._service.admission.leave(failed, entered)

    def hedge(self) -> Place:
        """See `UpstreamTarget`."""
        assert self._pick is not None
        pick = self._hedge = self._service.start(self._key, [*self._attempts.failed, self._pick.index])
        self._exchange.attempts += 1
        return [self._address(pick)], self._head_for(pick.name)

    def swap(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        assert self._pick is not None
        assert self._hedge is not None
        self._over(self._pick, failed)
        self._pick, self._hedge = self._hedge, None
        self._exchange.upstream = self._pick.name

    def drop(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        assert self._hedge is not None
        self._over(self._hedge, failed)
        self._hedge = None

    def _over(self, pick: PickedUpstream, failed: bool | None) -> None:
        if failed:
            self._attempts.failed.append(pick.index)
        pick.finish(failed)
