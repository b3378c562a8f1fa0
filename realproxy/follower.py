"""A request that waits for another's fetch, and is sent what that brings.

Threads. It belongs to the worker that enlists it until then, and to the follow thread after that;
`flight` is changed under the lock of `realproxy.gathering` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.coalescing import Flight, Turn
from policies.freshness import Request
from realproxy.client import Client
from realproxy.exchange import Exchange, Refusal
from realproxy.http1 import RequestHead

if TYPE_CHECKING:
    from realproxy.arriving import Arriving
    from realproxy.gathering import Gathering

_PARTLY = (b"range", b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since")
"""Fields for which an answer may be less than the whole."""


class Follower:
    """A request that waits for another's fetch.

    Attributes
    ----------
    gathering : Gathering
        Where it waits.
    client, exchange, head, keep
        See `realproxy.serving.Turn`.
    key : bytes
        Of its object in the store.
    request : policies.freshness.Request
        What it allows.
    leads : bool
        Whether what it would fetch may do for others: all of it, and nothing of the client's own.
    whole_only : bool
        Whether it can only be answered once all of the body is there: it wants a part of it, has
        conditions, or cannot be sent chunks.
    until : float
        When it has waited long enough, on the monotonic clock.
    flight : Flight or None
        What it waits for, or is to fetch for others.
    failures : int
        Fetches that it has seen fail.
    turn : Turn
        What it is to do next, once it is asked again.
    refusal : Refusal or None
        How the last fetch failed.
    arriving : Arriving or None
        What it is sent.
    at : int
        Bytes of that body that it was given.
    held : list of memoryview
        What it was given and has not been sent.
    begun : bool
        Whether anything was sent.
    framing : int
        Of the body towards the client.
    active : float
        When it last took something, on the monotonic clock.
    watched : bool
        Whether it is waited for until it reads on.
    waited_from : float
        While it is: what its pace has not counted begins here, on the monotonic clock.
    over : bool
        Whether the exchange has ended; its client may be another's by then.
    """

    __slots__ = (
        "active", "arriving", "at", "begun", "client", "exchange", "failures", "flight", "framing",
        "gathering", "head", "held", "keep", "key", "leads", "over", "refusal", "request", "turn", "until",
        "waited_from", "watched", "whole_only",
    )  # fmt: skip

    def __init__(
        self,
        gathering: Gathering,
        client: Client,
        exchange: Exchange,
        head: RequestHead,
        keep: bool,
        key: bytes,
        request: Request,
        until: float,
    ) -> None:
        self.client, self.exchange, self.head, self.keep, self.request = client, exchange, head, keep, request
        partly = any(name in head.fields for name in _PARTLY)
        self.gathering, self.key, self.until = gathering, key, until
        self.whole_only = partly or head.minor == 0
        self.leads = not partly and request.unstorable is None and b"authorization" not in head.fields
        self.flight: Flight[Follower] | None = None
        self.failures = 0
        self.turn = Turn.WAIT
        self.refusal: Refusal | None = None
        self.arriving: Arriving | None = None
        self.at = 0
        self.begun = False
        self.held: list[memoryview] = []
        self.framing = 0
        self.active = 0.0
        self.watched = self.over = False
        self.waited_from = 0.0

    def suited(self, arriving: Arriving, now: float) -> bool:
        """Whether it could be given this answer out of the store."""
        return arriving.suits(self.request, self.head.fields.text, now)
