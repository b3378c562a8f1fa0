"""A request on its way through the proxy: what its phases hand to each other."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from realproxy.cache.collapse import CollapsedWriter
from realproxy.cache.shared_response import Reader
from realproxy.cache.writer import CacheWriter
from realproxy.downstream.connection import DownstreamConnection
from realproxy.http1 import RequestHead
from realproxy.messages.record import RequestRecord
from realproxy.proxying.response import ResponseForwarder
from realproxy.proxying.worker import ThreadState


class Outcome(Enum):
    """What becomes of the client's connection."""

    NEXT = "it may carry another request"
    CLOSE = "it is closed"
    LINGER = "it is closed once the client had time to read"
    TUNNEL = "the relay thread owns it"
    AWAY = "the follow thread owns it, or whoever it was given to"
    AWAITED = "the front thread owns it until the upstream has something to say"
    WORKER = "a worker goes on, for something is to be waited for"


class Generation(Protocol):
    """What answers requests by one configuration."""

    under_way: set[RequestContext]
    """What the front thread has begun with and is not over."""

    def serve(self, client: DownstreamConnection, worker: ThreadState) -> None:
        """Answer what `client` asks; called by a worker."""

    def at_once(self, client: DownstreamConnection, worker: ThreadState) -> Outcome:
        """Do what needs no waiting; called by the front thread."""


class RequestContext:
    """What the phases of one request hand to each other.

    Attributes
    ----------
    serving : Generation
        Where it began, and ends even if another one has taken over meanwhile.
    client : DownstreamConnection
        Who asks.
    worker : ThreadState
        Who answers: it may begin in the front thread and go on in a worker.
    exchange : RequestRecord
        The record.
    head : RequestHead
        What is asked.
    keep : bool
        Whether the client's connection may live on.
    follower : Reader or None
        What it was while it waited for another's fetch.
    lead : CollapsedWriter or None
        Those who wait for what it fetches.
    fetch : ResponseForwarder or None
        The request upstream, once there is one.
    recording : CacheWriter or None
        Of its answer.
    placed : bool
        Whether it has one of the workers' places; whoever ends it gives that back.
    then : Outcome or None
        What becomes of the client once it has taken all that was sent; None while that is open.
    until : float
        When the upstream has had its time, on the monotonic clock, while it is awaited.
    """

    __slots__ = (
        "client", "exchange", "fetch", "follower", "head", "keep", "lead", "placed", "recording", "serving",
        "then", "until", "worker",
    )  # fmt: skip

    def __init__(
        self,
        serving: Generation,
        client: DownstreamConnection,
        worker: ThreadState,
        exchange: RequestRecord,
        head: RequestHead,
        keep: bool,
    ) -> None:
        self.serving, self.client, self.worker = serving, client, worker
        self.exchange, self.head, self.keep = exchange, head, keep
        self.follower: Reader | None = None
        self.lead: CollapsedWriter | None = None
        self.fetch: ResponseForwarder | None = None
        self.recording: CacheWriter | None = None
        self.placed = False
        self.then: Outcome | None = None
        self.until = 0.0

    @property
    def begun(self) -> bool:
        """Whether it cannot be refused any more: it has its place, or a part of its answer."""
        return self.placed or self.then is not None

    def let_go(self) -> None:
        """Give up: nobody will go on with it."""
        self.serving.under_way.discard(self)
        if self.fetch is not None:
            self.fetch.abandon()
