"""One request on its way through the phases: what they hand to each other.

Owner: the thread that runs the phases. First that is the event loop's thread, which never waits, and then
perhaps a worker. While the request waits for another request's fetch, the fan-out thread owns it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

from policies.http_cache.collapsing import FlightResult
from policies.settings import Limits, Route
from realproxy.cache.shared_fetch import SharedFetch, WaitingRequest
from realproxy.cache.writer import CacheWriter
from realproxy.downstream.connection import DownstreamConnection
from realproxy.http1 import RequestHead, ResponseHead
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.proxying.forward_access import ForwardAccess
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.proxying.worker import ThreadState
from realproxy.tunnel.relay import TunnelRelay
from realproxy.upstream.round_trip import RoundTrip


class Outcome(Enum):
    """What happens to the client's connection, or which thread goes on with the request."""

    NEXT = "the connection may carry another request"
    CLOSE = "the connection is closed"
    LINGER = "the connection is closed once the client has had time to read"
    TUNNEL = "the relay thread owns the connection"
    PARKED = "the fan-out thread owns the connection"
    AWAITED = "the event loop goes on when the upstream has sent something"
    WORKER = "a worker goes on, because this thread must not wait"
    SENDING = "the event loop goes on when the client takes more of what was sent"
    RETRY = "another connection or another upstream is asked"


class Generation(Protocol):
    """Serves requests under one configuration. A request keeps it to its end."""

    snapshot: ConfigSnapshot
    own: Address
    """Where this proxy listens."""
    relay: TunnelRelay
    under_way: set[RequestContext]
    """Requests that have left the thread that began them, and have not ended."""

    def serve(self, client: DownstreamConnection, thread: ThreadState) -> None:
        """Serve the requests of a client; called by a worker."""

    def advance(self, request: RequestContext) -> Outcome:
        """Run the phases of a request as far as this thread goes."""

    def revalidate(self, request: RequestContext, writer: CacheWriter) -> None:
        """Have a stale response fetched again, for the store alone. RFC 5861, 3"""


class RouteVisit(Protocol):
    """What one request keeps of its route's actions, see `realproxy.proxying.route_actions`."""

    trial: Any
    """Not None if the attempts at the upstream are to be judged."""
    limits: Limits
    """Those of the route."""
    changes: bool
    """Whether `upstream_head` or `edit_request` changes anything."""
    edits: bool
    """Whether `edit` changes anything."""
    mirrors: bool
    """Whether `answered` does anything."""

    def upstream_head(self, head: RequestHead) -> RequestHead:
        """The head with the path and host that the upstream gets."""

    def edit_request(self, head: bytes) -> bytes:
        """The head for the upstream with the route's changes of fields."""

    def edit(self, head: bytes) -> bytes:
        """The head of a response with the route's changes for the client."""

    def page(self, status: int) -> tuple[bytes, bytes] | None:
        """The media type and the body of the page for an error of the proxy itself, or None."""

    def judge(self, failed: bool | None, started: float) -> None:
        """An attempt has ended that began at `started`, on the monotonic clock."""

    def again(self, record: RequestRecord) -> RouteVisit:
        """The visit of another request by the same route and to the same arm, which no client waits for."""

    def answered(self, request: RequestContext) -> None:
        """The upstream has answered."""


class RequestContext:
    """What the phases of one request hand to each other, under the configuration that it began with.

    `keep` says whether the client's connection may carry another request, as far as is known by now.
    """

    __slots__ = (
        "access", "client", "generation", "has_slot", "head", "keep", "lead", "may_block", "offers",
        "outcome", "phase", "reader", "record", "response", "round_trip", "route", "snapshot", "thread",
        "until", "visit", "whole", "writer",
    )  # fmt: skip

    def __init__(
        self, generation: Generation, client: DownstreamConnection, thread: ThreadState,
        record: RequestRecord, head: RequestHead, keep: bool, may_block: bool,
    ) -> None:  # fmt: skip
        self.generation, self.snapshot = generation, generation.snapshot
        self.client, self.thread, self.record, self.head = client, thread, record, head
        self.keep, self.may_block = keep, may_block  # may_block: `thread` may wait
        self.phase = 0  # the next one, as an index of `PHASES`
        self.has_slot = False  # it holds one of the workers' slots; the thread that ends it releases the slot
        self.whole = False  # the whole response is fetched, even if the client wants only a part
        self.until = 0.0  # when the time of an awaited upstream is over, on the monotonic clock
        self.route: Route | None = None  # on the reverse side
        self.visit: RouteVisit | None = None  # if the route does more than to name a service
        self.access: ForwardAccess | None = None  # on the forward side
        self.offers: list[bytes] = []  # the protocols that an upgrade may choose from
        self.writer: CacheWriter | None = None
        self.reader: WaitingRequest | None = None  # waits for another request's fetch
        self.lead: SharedFetch | None = None  # fetches for other requests
        self.round_trip: RoundTrip | None = None
        self.response: ResponseHead | None = None
        self.outcome: Outcome | None = None  # once the client has taken what was sent

    @property
    def is_admitted(self) -> bool:
        """Whether it is too late to refuse it for lack of a slot: it has one, has waited, or is half sent."""
        waited = self.reader is not None and self.reader.has_waited
        return self.has_slot or waited or self.outcome is not None

    @property
    def validators(self) -> Sequence[tuple[str, str]] | None:
        """Conditions that replace the client's; None keeps the client's."""
        found = self.writer.validators if self.writer is not None else None
        return () if found is None and self.whole else found

    def edit(self, head: bytes) -> bytes:
        """The head of a response with the changes of the request's route."""
        visit = self.visit
        return head if visit is None or not visit.edits else visit.edit(head)

    def cut_references(self) -> None:
        """Drop what refers back to this request, so that no cycle is left to the garbage collector."""
        self.round_trip = self.reader = self.lead = self.writer = None

    def ended_elsewhere(self) -> None:
        """The fan-out thread has ended it."""
        self.generation.under_way.discard(self)
        if self.lead is None:  # else a thread still runs its phases for the requests that share its response
            self.reader = None

    def abandon(self) -> None:
        """Give it up: no thread goes on with it."""
        try:
            self.end_upstream()
        finally:
            if self.lead is not None:
                self.lead.complete(FlightResult.FAILED)
            self.generation.under_way.discard(self)
            self.cut_references()

    def end_upstream(self) -> None:
        """End the round trip and the writer, unless they have ended."""
        trip, writer = self.round_trip, self.writer
        try:
            if trip is not None and not trip.over:
                self.keep = self.keep and trip.all_read
                trip.finish(reusable=False)
        finally:
            if writer is not None and not writer.over:
                writer.abort()
