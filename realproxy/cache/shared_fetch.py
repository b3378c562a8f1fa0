"""What the core knows of collapsing: one fetch whose response several requests are given.

Each class is a face of one in `realproxy.cache.collapse` or `realproxy.cache.shared_response`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from policies.http_cache.collapsing import Decision, FlightResult
from policies.http_cache.freshness import Answer, Request
from policies.http_cache.vary import Variant
from realproxy.cache.store import Lookup
from realproxy.downstream.connection import DownstreamConnection, Suspended
from realproxy.errors import LocalReply
from realproxy.http1 import Line, RequestHead, ResponseHead
from realproxy.messages.record import RequestRecord


class Parked(Suspended, Protocol):
    """A request that waits: what its phases go on with, should it be looked up again."""

    client: DownstreamConnection
    record: RequestRecord
    head: RequestHead
    keep: bool


class WaitingRequest(Protocol):
    """What a request waits with for another request's fetch; see `Reader`."""

    key: bytes
    question: Request
    until: float
    failures: int
    decision: Decision
    refusal: LocalReply | None


class SharedFetch(Protocol):
    """A fetch for several requests, in place of its client as the receiver of the response."""

    away: bool
    """Whether the client belongs to the fan-out thread now."""

    @property
    def shared(self) -> object | None:
        """The response, once others may be given it while it arrives."""

    def begin(
        self, head: ResponseHead, lines: Sequence[Line], answer: Answer, variant: Variant, born: float
    ) -> None:
        """The response's head is there, and may be given to others as soon as anything of it comes."""

    def give_whole(
        self,
        body: bytes,
        head: ResponseHead,
        lines: Sequence[Line],
        answer: Answer,
        variant: Variant,
        born: float,
    ) -> None:
        """All of the response is there and stored."""

    def add(self, piece: bytes) -> None:
        """More of the body has come; raises `Aborted` if nobody reads it."""

    def give_up_keeping(self) -> None:
        """The body turns out too long to be stored."""

    def finish(self) -> bytes:
        """The whole body is there; returns it. It must be stored before `close` is called."""

    def close(self) -> None:
        """Nothing more will come, well or not."""

    def complete(self, ended: FlightResult, refusal: LocalReply | None = None) -> None:
        """It is known how this ends for those that wait; only the first call counts."""

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Send `pieces` to the client that fetches; returns their length in bytes."""

    def reset_on_close(self) -> None:
        """Let the end be seen as an error."""


class Collapsing(Protocol):
    """Collapses the requests for one object into one fetch. `reader` is always one of its own."""

    reader: Callable[[Parked, bytes, Request, float], WaitingRequest]
    """Makes what a request waits with: takes also its key, question, and when it has waited long enough."""

    def join(self, reader: Any) -> SharedFetch | Lookup | Decision:
        """What a request does whose object is not stored, or not fit for use; see `Collapser.join`."""

    def take_lead(self, reader: Any) -> SharedFetch | None:
        """What a request that has waited fetches for others, if it is its turn to."""

    def invalidate(self, key: bytes) -> None:
        """The object has changed: what is on its way may be what it was before."""

    def invalidate_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Groups of the origin of `key` have become invalid. RFC 9875, 3"""

    def shareable(self, key: bytes) -> None:
        """A response for `key` could be stored."""
