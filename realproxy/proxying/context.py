"""One request on its way through the phases: what they hand to each other.

Owner: the thread that runs its phases. That is the event loop's thread, which never waits, then
perhaps a worker; the fan-out thread while the request waits for another request's fetch.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from policies.settings import Route
from realproxy.cache.collapse import CollapsedWriter
from realproxy.cache.shared_response import Reader
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
    """What becomes of the client's connection, or who goes on with the request."""

    NEXT = "the connection may carry another request"
    CLOSE = "the connection is closed"
    LINGER = "the connection is closed once the client had time to read"
    TUNNEL = "the relay thread owns the connection"
    PARKED = "the fan-out thread owns the connection"
    AWAITED = "the event loop goes on when the upstream has sent something"
    WORKER = "a worker goes on, because this thread must not wait"
    RETRY = "another connection or another upstream is asked"


class Generation(Protocol):
    """What serves requests under one configuration; a request keeps it to its end."""

    snapshot: ConfigSnapshot
    own: Address
    """Where this proxy listens."""
    relay: TunnelRelay
    under_way: set[RequestContext]
    """Requests that have left the thread that began them, and are not over."""

    def serve(self, client: DownstreamConnection, thread: ThreadState) -> None:
        """Answer what `client` asks; called by a worker."""

    def advance(self, request: RequestContext) -> Outcome:
        """Run the phases of a request as far as this thread goes."""

    def revalidate(self, request: RequestContext, key: bytes, writer: CacheWriter) -> None:
        """Have a stale response fetched again, for the store alone. RFC 5861, 3"""


class RequestContext:
    """What the phases of one request hand to each other.

    Attributes
    ----------
    generation : Generation
        The configuration under which the request began.
    snapshot : ConfigSnapshot
        The generation's.
    client : DownstreamConnection
        The client's connection; a stand-in for it in a background revalidation.
    thread : ThreadState
        Of the thread that runs the phases now.
    may_block : bool
        Whether that thread may wait.
    phase : int
        The phase that comes next, as an index of `realproxy.proxying.pipeline.PHASES`.
    keep : bool
        Whether the client's connection may carry another request, as far as is known by now.
    route : Route or None
        The route that takes a request of the reverse side.
    access : ForwardAccess or None
        The rules of the forward side, for a request to that side.
    offers : list of bytes
        The protocols that an upgrade may choose from.
    whole : bool
        Whether the whole response is fetched, whatever part the client wants.
    writer : CacheWriter or None
        Stores the response.
    reader : Reader or None
        What the request waits with for another request's fetch.
    lead : CollapsedWriter or None
        Gives the response to the requests that wait for it.
    round_trip : RoundTrip or None
        The request upstream, once there is one.
    response : ResponseHead or None
        The head of the final response.
    has_slot : bool
        Whether the request holds one of the workers' slots; whoever ends it releases the slot.
    outcome : Outcome or None
        The end that waits only for the client to take what was sent.
    until : float
        When the upstream has had its time, on the monotonic clock, while its response is awaited.
    """

    __slots__ = (
        "access", "client", "generation", "has_slot", "head", "keep", "lead", "may_block", "offers",
        "outcome", "phase", "reader", "record", "response", "round_trip", "route", "snapshot", "thread",
        "until", "whole", "writer",
    )  # fmt: skip

    def __init__(
        self,
        generation: Generation,
        client: DownstreamConnection,
        thread: ThreadState,
        record: RequestRecord,
        head: RequestHead,
        keep: bool,
        may_block: bool,
    ) -> None:
        self.generation, self.snapshot = generation, generation.snapshot
        self.client, self.thread, self.record, self.head = client, thread, record, head
        self.keep, self.may_block = keep, may_block
        self.phase = 0
        self.has_slot = self.whole = False
        self.until = 0.0
        self.route: Route | None = None
        self.access: ForwardAccess | None = None
        self.offers: list[bytes] = []
        self.writer: CacheWriter | None = None
        self.reader: Reader | None = None
        self.lead: CollapsedWriter | None = None
        self.round_trip: RoundTrip | None = None
        self.response: ResponseHead | None = None
        self.outcome: Outcome | None = None

    @property
    def is_admitted(self) -> bool:
        """Whether it must not be refused for want of a slot: it has one, waited already, or is half sent."""
        return self.has_slot or self.reader is not None or self.outcome is not None

    @property
    def validators(self) -> Sequence[tuple[str, str]] | None:
        """The conditions that the store sets in place of the client's; None leaves the client's."""
        found = self.writer.validators if self.writer is not None else None
        return () if found is None and self.whole else found

    def leave(self) -> None:
        """It is over, in the thread that runs its phases; cuts the references that would be a cycle."""
        self.generation.under_way.discard(self)
        self.cut_references()

    def cut_references(self) -> None:
        """Let go of what refers back to this request."""
        self.round_trip = self.reader = self.lead = None

    def ended_elsewhere(self) -> None:
        """The fan-out thread has ended it."""
        self.generation.under_way.discard(self)
        if self.lead is None:  # else a thread still runs its phases for those who read with it
            self.reader = None

    def abandon(self) -> None:
        """Give up: no thread will go on with it."""
        self.end_upstream()
        self.leave()

    def end_upstream(self) -> None:
        """Let go of the upstream and of what was to be stored, unless they are done with."""
        trip, writer = self.round_trip, self.writer
        if trip is not None and not trip.over:
            self.keep = self.keep and trip.all_read
            trip.finish(reusable=False)
        if writer is not None and not writer.over:
            writer.abort()
