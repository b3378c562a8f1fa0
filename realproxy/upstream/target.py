"""Where a request goes: the upstreams that one request asks, one after the other, or two at once.

Owner: the thread that runs the request. The decisions are those of `policies.resilience`, taken under
the lock of the service; here is who is told of them.
"""

from __future__ import annotations

from collections.abc import Callable

from policies.resilience import Attempts
from realproxy.errors import WouldBlock
from realproxy.messages.record import RequestRecord
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.endpoint import Endpoint, Ends, Place
from realproxy.upstream.service import FirstResponse, PickedUpstream, Service


class UpstreamTarget:
    """Where a request goes, and where next if that fails. As it stands here, there is no choice.

    `begin` comes first and `finished` last. In between comes `next` for every attempt that failed.
    `wait` may call `hedge`, and then either `swap` or `drop`.

    Attributes
    ----------
    wait : FirstResponse or None
        How to wait for the response if not on one connection alone.
    """

    __slots__ = ("wait",)

    def __init__(self, wait: FirstResponse | None = None) -> None:
        self.wait = wait

    def begin(self, may_block: bool) -> Place:
        """Where to; raises `LocalReply` if the request may not go on."""
        raise NotImplementedError

    def next(self, *, refused: bool, repeatable: bool) -> Place | None:
        """The attempt failed: where to next, or None; see `policies.resilience.Attempts.again`."""
        return None

    def finished(self, failed: bool | None) -> None:
        """All is over, with the last upstream too; None: nobody knows how."""

    def hedge(self) -> Place:
        """Where to ask at the same time."""
        raise NotImplementedError

    def swap(self, failed: bool | None) -> None:
        """The hedge takes the place of the first, which has failed or (None) is cancelled."""

    def drop(self, failed: bool | None) -> None:
        """The hedge has failed, or (None) is cancelled."""

    def settled(self, failed: bool) -> None:
        """How it ends is known, but the upstream goes on: it switched protocols."""


class FixedTarget(UpstreamTarget):
    """One place.

    Parameters
    ----------
    endpoint : Endpoint
        Where it is.
    request : bytes
        The head to send.
    """

    __slots__ = ("_place",)

    def __init__(self, endpoint: Endpoint, request: bytes) -> None:
        super().__init__()
        self._place = endpoint, request

    def begin(self, may_block: bool) -> Place:
        """See `UpstreamTarget`."""
        return self._place


class ServiceTarget(UpstreamTarget):
    """The upstreams of a service.

    Parameters
    ----------
    service : Service
        Whose upstreams are asked.
    key : str
        What balancers with affinity hash by.
    record : RequestRecord
        The record to fill in.
    head_for : callable
        Makes the head to send, of the upstream's name.
    waits : BlockedThreads
        Where a request that waits in the service's queue is counted.
    ends : callable or None
        Of the client's connection, for upstreams that are told of it.
    """

    __slots__ = (
        "_attempts", "_ends", "_entered", "_head_for", "_hedge", "_key", "_pick", "_record", "_service",
        "_waits",
    )  # fmt: skip

    def __init__(
        self,
        service: Service,
        key: str,
        record: RequestRecord,
        head_for: Callable[[str], bytes],
        waits: BlockedThreads,
        ends: Ends | None = None,
    ) -> None:
        self.wait = service.wait
        self._service, self._key, self._record, self._head_for = service, key, record, head_for
        self._waits, self._ends = waits, ends
        self._attempts = None if service.settings.retry is None else service.attempts()
        """Made when first needed, unless a retry budget counts every request."""
        self._entered: float | None = None
        self._hedge: PickedUpstream | None = None
        self._pick: PickedUpstream | None = None

    def begin(self, may_block: bool) -> Place:
        """Pass the service's admission control, if it has one, and pick an upstream."""
        if self._service.admission is not None:
            if not may_block:
                raise WouldBlock
            self._entered = self._service.admission.enter(self._waits)
        return self._go()

    def _go(self) -> Place:
        failed = () if self._attempts is None else self._attempts.failed
        pick = self._pick = self._service.start(self._key, failed)
        self._record.upstream = pick.name
        self._record.attempts += 1
        return self._service.endpoint(pick.index, self._ends), self._head_for(pick.name)

    def next(self, *, refused: bool, repeatable: bool) -> Place | None:
        """See `UpstreamTarget`."""
        assert self._pick is not None
        self._over(self._pick, True)
        if not self._service.again(self._made_attempts(), refused=refused, repeatable=repeatable):
            return None
        return self._go()

    def _made_attempts(self) -> Attempts:
        if self._attempts is None:
            self._attempts = self._service.attempts()
        return self._attempts

    def finished(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        if self._pick is not None:
            self._pick.finish(failed)
        if self._entered is not None:
            self.settled(failed)

    def settled(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        entered, self._entered = self._entered, None
        if entered is not None and self._service.admission is not None:
            self._service.admission.leave(failed, entered)

    def hedge(self) -> Place:
        """See `UpstreamTarget`."""
        assert self._pick is not None
        pick = self._hedge = self._service.start(self._key, [*self._made_attempts().failed, self._pick.index])
        self._record.attempts += 1
        return self._service.endpoint(pick.index, self._ends), self._head_for(pick.name)

    def swap(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        assert self._pick is not None
        assert self._hedge is not None
        self._over(self._pick, failed)
        self._pick, self._hedge = self._hedge, None
        self._record.upstream = self._pick.name

    def drop(self, failed: bool | None) -> None:
        """See `UpstreamTarget`."""
        assert self._hedge is not None
        self._over(self._hedge, failed)
        self._hedge = None

    def _over(self, pick: PickedUpstream, failed: bool | None) -> None:
        if failed:
            self._made_attempts().failed.append(pick.index)
        pick.finish(failed)
