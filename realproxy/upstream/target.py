"""The upstreams that one request is sent to: one after the other, or two at once.

Owner: the thread that runs the request. `policies.resilience` decides, under the lock of the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from policies.resilience import Attempts
from realproxy.http1 import ResponseHead
from realproxy.messages.deadline import told
from realproxy.messages.record import RequestRecord
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.endpoint import Endpoint, Ends, Place
from realproxy.upstream.service import FirstResponse, PickedUpstream, Service


class UpstreamTarget:
    """Where to send a request. This class has one place, and nothing else is asked if that fails.

    `until` is when the request must be over, on the monotonic clock, if there is a limit; `tells` says if the
    upstream learns of it.
    `begin` comes first and `finished` last. In between, `next` comes after every failed attempt; its place is
    for `delay` seconds later. `check` takes the head of the response, and raises `UpstreamError` if the head
    must not be passed on. `wait` is how to wait for the response if not on one connection alone; it may call
    `hedge`, and then `swap` or `drop`.
    """

    __slots__ = ("_place", "check", "delay", "tells", "until", "wait")

    def __init__(
        self, endpoint: Endpoint, request: bytes, check: Callable[[ResponseHead], None] | None = None
    ) -> None:
        self._place = endpoint, request
        self.check, self.delay = check, 0.0
        self.until: float | None = None
        self.tells = False
        self.wait: FirstResponse | None = None

    def begin(self, may_block: bool) -> Place:
        """The first place; raises `LocalReply` if the request may not go on."""
        return self._place

    def next(self, *, refused: bool, repeatable: bool, status: int) -> Place | None:
        """The place after a failed attempt, or None; see `policies.resilience.Attempts.again`."""
        return None

    def finished(self, failed: bool | None) -> None:
        """The request has ended at the last upstream; `failed` is None if the outcome is not known."""

    def hedge(self) -> Place:
        """A second place to ask at the same time."""
        raise NotImplementedError

    def swap(self, failed: bool | None) -> None:
        """The hedge replaces the first attempt, which has failed or (None) is cancelled."""

    def drop(self, failed: bool | None) -> None:
        """The hedge has failed, or (None) is cancelled."""

    def settled(self, failed: bool) -> None:
        """The upstream has switched protocols: the outcome is known, although the request goes on."""


class ServiceTarget(UpstreamTarget):
    """The upstreams of a service.

    `key` is what balancers with affinity hash by. `record` takes the name of the upstream and the number of
    attempts. `head_for` makes the head to send from the upstream's name. `ends` are the addresses of the
    client's connection, for upstreams that are told of them. `judge` is told of the end of every attempt, and
    when it began.
    """

    __slots__ = (
        "_attempts", "_ends", "_entered", "_head_for", "_hedge", "_key", "_pick", "_record", "_service",
        "_waits", "judge",
    )  # fmt: skip

    def __init__(
        self, service: Service, key: str, record: RequestRecord, head_for: Callable[[str], bytes],
        waits: BlockedThreads, ends: Ends | None = None,
    ) -> None:  # fmt: skip
        self.check, self.delay, self.until, self.wait = None, 0.0, None, service.wait
        self.tells = service.settings.deadline
        self._service, self._key, self._record, self._head_for = service, key, record, head_for
        self._waits, self._ends = waits, ends
        self._attempts: Attempts | None = None
        """Made with the first pick if a retry budget counts every request, else when first needed."""
        self._entered: float | None = None
        self._hedge: PickedUpstream | None = None
        self._pick: PickedUpstream | None = None
        self.judge: Callable[[bool | None, float], None] | None = None

    def begin(self, may_block: bool) -> Place:
        """Pass the admission control of the service, and pick an upstream."""
        if self._service.admission is not None:
            self._entered = self._service.admission.enter(self._waits if may_block else None, self.until)
        return self._pick_next()

    def _pick_next(self) -> Place:
        service, attempts = self._service, self._attempts
        if attempts is not None:
            pick = service.start(self._key, attempts.failed)
        elif self._pick is None and service.settings.retry is not None:
            pick = service.start(self._key, earns=True)
            self._attempts = pick.attempts
        else:
            pick = service.start(self._key)
        self._pick = pick
        self._record.upstream = pick.name
        self._record.attempts += 1
        return service.endpoint(pick.index, self._ends), self._head_for(pick.name)

    def next(self, *, refused: bool, repeatable: bool, status: int) -> Place | None:
        """Another upstream, if the service allows one more attempt."""
        assert self._pick is not None
        self._end(self._pick, True)
        attempts = self._made_attempts()
        delay = self._service.again(attempts, refused=refused, repeatable=repeatable, status=status)
        if delay is None or (self.until is not None and time.monotonic() + delay >= self.until):
            return None
        self.delay = delay
        return self._pick_next()

    def _made_attempts(self) -> Attempts:
        if self._attempts is None:
            self._attempts = self._service.attempts()
        return self._attempts

    def finished(self, failed: bool | None) -> None:
        """End the attempt, and leave the admission control."""
        pick = self._pick
        try:
            if self.judge is not None and pick is not None and not pick.done:
                self.judge(failed, pick.started)
        finally:  # whatever the judge does, nothing is kept
            if pick is not None:
                pick.finish(failed)
            if self._hedge is not None:
                self._hedge.finish(None)
            entered, self._entered = self._entered, None
            if entered is not None and self._service.admission is not None:
                self._service.admission.leave(failed, entered)

    def settled(self, failed: bool | None) -> None:
        """Leave the admission control."""
        entered, self._entered = self._entered, None
        if entered is not None and self._service.admission is not None:
            self._service.admission.leave(failed, entered)

    def hedge(self) -> Place:
        """Pick another upstream for the same request."""
        assert self._pick is not None
        pick = self._hedge = self._service.start(self._key, [*self._made_attempts().failed, self._pick.index])
        self._record.attempts += 1
        head = self._head_for(pick.name)
        if self.until is not None and self.tells:
            head = told(head, self.until - time.monotonic())
        return self._service.endpoint(pick.index, self._ends), head

    def swap(self, failed: bool | None) -> None:
        """Let the hedge replace the first attempt."""
        assert self._pick is not None
        assert self._hedge is not None
        self._end(self._pick, failed)
        self._pick, self._hedge = self._hedge, None
        self._record.upstream = self._pick.name

    def drop(self, failed: bool | None) -> None:
        """End the hedge."""
        assert self._hedge is not None
        self._end(self._hedge, failed)
        self._hedge = None

    def _end(self, pick: PickedUpstream, failed: bool | None) -> None:
        if failed:
            self._made_attempts().failed.append(pick.index)
        try:
            if self.judge is not None:
                self.judge(failed, pick.started)
        finally:
            pick.finish(failed)
