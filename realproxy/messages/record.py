"""The record of a request: all phases fill it in, then the log and the metrics read it."""

from __future__ import annotations

import time

from realproxy.errors import Termination
from realproxy.http1 import RequestHead

_DONE = Termination.DONE  # to name a member by its class is slow before Python 3.12


class RequestRecord:
    """One request and its outcome. Times are in seconds on the monotonic clock, 0 for what did not happen.

    Attributes
    ----------
    client : str
        IP address of the client, as trusted proxies in front report it.
    head : RequestHead or None
        None if it could not be read.
    arrived, picked, asked, answered, ended : float
        When the head had arrived, a thread took the request, the request went upstream, the upstream's
        head came, and the last byte was sent.
    connecting : float
        Seconds until there was a connection to the upstream.
    status : int
        Sent to the client; 0 if none was.
    sent, received : int
        Bytes of body sent to the client; bytes that a tunnel carried from the client to its target.
    side : str
        ``reverse``, ``forward``, ``tunnel``, ``tcp``, ``socks4``, ``socks5`` or ``udp``.
    service, upstream, user, trace, cache, detail, fault : str
        Empty if there is none. `user` is set after authentication, `trace` is the trace-id (W3C), `cache` the
        value of Cache-Status, and `detail` the reason if the proxy refused or gave up: the rule, or the
        failure. `fault` names the injected faults, joined by ``+``.
    attempts : int
        Upstreams of the service that were asked.
    reused : bool
        Whether the upstream connection had been used before.
    """

    __slots__ = (
        "answered", "arrived", "asked", "attempts", "cache", "client", "connecting", "detail", "end",
        "ended", "fault", "head", "picked", "received", "reused", "route", "sent", "service", "side",
        "status", "trace", "upstream", "user",
    )  # fmt: skip

    def __init__(self, client: str, arrived: float, picked: float) -> None:
        self.client, self.arrived, self.picked = client, arrived, picked
        self.head: RequestHead | None = None
        self.connecting = self.asked = self.answered = self.ended = 0.0
        self.status = self.sent = self.received = self.attempts = 0
        self.side = "reverse"
        self.route: int | None = None
        self.service = self.upstream = self.fault = self.cache = self.detail = self.user = self.trace = ""
        self.reused = False
        self.end = _DONE

    def finish(self, termination: Termination, detail: str = "") -> None:
        """End the request now. An empty `detail` keeps what was noted before."""
        self.end, self.ended = termination, time.monotonic()
        if detail:
            self.detail = detail
