"""The record of a request, and the tally of the requests of a thread.

All phases fill in the record, then the log and the metrics read it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from realproxy.errors import Termination
from realproxy.http1 import RequestHead

_DONE = Termination.DONE  # to name a member by its class is slow before Python 3.12


class RequestRecord:
    """One request and its outcome. Times are in seconds on the monotonic clock, 0 for what did not happen.

    The head `arrived`, a thread `picked` the request, the request was `asked` upstream, the upstream's head
    `answered`, and with the last byte the request `ended`. `connecting` are the seconds until there was a
    connection to the upstream. `client` is the IP address as trusted proxies in front report it.

    `caller` is the name that the client has proven by its certificate. `user` is set after authentication,
    `trace` is the trace-id (W3C), `span` this proxy's own parent-id in it, `parent` that which came with the
    request, and `cache` the value of Cache-Status. `detail` says why the proxy refused or gave up: the rule,
    or the failure. `fault` names the injected faults, joined by ``+``. `decision` is what the answer made a
    canary's watch decide. Each text is empty if there is none.
    """

    __slots__ = (
        "answered", "arrived", "asked", "attempts", "cache", "caller", "client", "connecting", "decision",
        "detail", "end", "ended", "fault", "head", "parent", "picked", "received", "reused", "route", "sent",
        "service", "side", "span", "status", "trace", "upstream", "user",
    )  # fmt: skip

    def __init__(self, client: str, arrived: float, picked: float) -> None:
        self.client, self.arrived, self.picked = client, arrived, picked
        self.head: RequestHead | None = None  # None if it could not be read
        self.connecting = self.asked = self.answered = self.ended = 0.0
        self.status = self.attempts = 0  # status: sent to the client; attempts: upstreams that were asked
        self.sent = self.received = 0  # bytes: of the body to the client; from the client through a tunnel
        self.side = "reverse"  # or ``forward``, ``tunnel``, ``tcp``, ``socks4``, ``socks5``, ``udp``
        self.route: int | None = None
        self.service = self.upstream = self.fault = self.cache = self.detail = self.user = self.trace = ""
        self.decision = self.caller = self.span = self.parent = ""
        self.reused = False  # the upstream connection had been used before
        self.end = _DONE

    def finish(self, termination: Termination, detail: str = "") -> None:
        """End the request now. An empty `detail` keeps what was noted before."""
        self.end, self.ended = termination, time.monotonic()
        if detail:
            self.detail = detail


class Tally:
    """What one thread has counted: requests begun, how they ended, and the statuses sent (0 for none).

    Only that thread writes it. Any thread may read it: a copy is one operation of the interpreter.
    """

    __slots__ = ("ends", "requests", "statuses")

    def __init__(self) -> None:
        self.requests = 0
        self.ends: Counter[Termination] = Counter()
        self.statuses: Counter[int] = Counter()

    def add(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        self.ends[record.end] += 1
        self.statuses[record.status] += 1


def summed(tallies: Iterable[Tally]) -> Tally:
    """A new tally with the counts of all."""
    total = Tally()
    for tally in tallies:
        total.requests += tally.requests
        total.ends.update(tally.ends.copy())
        total.statuses.update(tally.statuses.copy())
    return total
