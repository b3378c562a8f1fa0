"""What the core knows of collapsing: one fetch whose response several requests share.

Each class is a face of one in `realproxy.cache.collapse` or `realproxy.cache.shared_response`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from policies.http_cache.collapsing import Decision, FlightResult
from policies.http_cache.freshness import Request
from realproxy.cache.entry import CacheEntry
from realproxy.cache.store import Lookup
from realproxy.downstream.connection import DownstreamConnection, Suspended
from realproxy.errors import LocalReply
from realproxy.http1 import RequestHead
from realproxy.messages.record import RequestRecord


class Parked(Suspended, Protocol):
    """A request that waits for another request's fetch. If it is looked up again, its phases go on."""

    client: DownstreamConnection
    record: RequestRecord
    head: RequestHead
    keep: bool

    def edit(self, head: bytes) -> bytes:
        """The head of a response with the changes of the request's route."""


class WaitingRequest(Protocol):
    """The `Reader` of a request that waits for another request's fetch."""

    key: bytes
    question: Request
    until: float
    failures: int
    has_waited: bool
    decision: Decision
    refusal: LocalReply | None


class SharedFetch(Protocol):
    """The `CollapsedWriter`: receives a response for several requests, in the place of the client."""

    away: bool
    """Whether the fan-out thread owns the client."""

    @property
    def shared(self) -> object | None:
        """None until the response may be shared."""

    def begin(self, entry: CacheEntry, framing: int) -> None:
        """Share a response whose head has arrived; `entry` is the response without its body."""

    def write(self, piece: bytes) -> None:
        """Append to the body; raises `Aborted` if nobody reads it and it is too long to store."""

    def stop_storing(self) -> None:
        """The body is too long to store, so requests from now on do not share it."""

    def finish(self) -> bytes:
        """The body is complete; returns it. Store it before `close`."""

    def close(self) -> None:
        """Nothing more will come, whether the body is complete or not."""

    def complete(self, ended: FlightResult, refusal: LocalReply | None = None) -> None:
        """End the flight for the requests that wait; only the first call counts."""

    def complete_unawaited(self) -> bool:
        """End the fetch of a response that is stored, unless a request waits for it."""

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Send `pieces` to the client; without a wait, if the response is shared."""

    def reset_on_close(self) -> None:
        """As `DownstreamConnection.reset_on_close`, if the client is still here."""


class Collapsing(Protocol):
    """The `Collapser`. Every `reader` that it is given is one that it has made."""

    reader: Callable[[Parked, bytes, Request, float], WaitingRequest]
    """Makes the reader of a request, with its key, what it asks, and until when it waits."""

    def join(self, reader: Any) -> SharedFetch | Lookup | Decision:
        """Decide about a request whose object is not stored, or not usable; see `Collapser.join`."""

    def take_lead(self, reader: Any) -> SharedFetch | None:
        """The fetch that a request which has waited makes for others, if it is to make one."""

    def invalidate(self, key: bytes) -> None:
        """The object has changed: its responses in progress are outdated."""

    def invalidate_groups(self, key: bytes, groups: Iterable[str]) -> None:
        """Groups of the origin of `key` have become invalid. RFC 9875, 3"""

    def shareable(self, key: bytes) -> None:
        """A response for `key` could be stored."""
