"""An endpoint: where a request is sent, and how a connection there is made.

Threads. An `Endpoint` never changes. `dial` waits, so only workers call it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from realproxy.net.address import Address
from realproxy.net.dial import connect
from realproxy.net.resolver import Resolver

Dialer = Callable[[Resolver, float], socket.socket]
"""Makes a connection; takes a resolver and the seconds for each step, raises `UpstreamError`."""
Ends = Callable[[], tuple[Address, Address]]
"""The client's and the proxy's address of a client's connection; raises `OSError` if it is closed."""


class Endpoint:
    """Where a request is sent: an address, and further ones for when it cannot be reached.

    `dialer` makes the connection if TCP alone does not suffice; without one the endpoint is `plain`, that is,
    a connection is ready for HTTP as soon as TCP is. Idle connections are kept under `key`, by default the
    first address; endpoints with one key share them. `kept` says whether a connection may be kept at all.
    """

    __slots__ = ("_dialer", "addresses", "kept", "key", "plain")

    def __init__(
        self, addresses: Sequence[Address], *, key: Address | None = None, kept: bool = True,
        dialer: Dialer | None = None,
    ) -> None:  # fmt: skip
        self.addresses, self.kept = addresses, kept
        self.key = addresses[0] if key is None else key
        self.plain = dialer is None
        self._dialer = dialer

    def dial(self, resolver: Resolver, timeout: float) -> socket.socket:
        """A connection that is ready for HTTP; `timeout` in seconds for each step. Raises `UpstreamError`."""
        if self._dialer is not None:
            return self._dialer(resolver, timeout)
        found = [*resolver.in_turn(self.addresses[0]), *self.addresses[1:]]
        return connect(found, timeout, resolver.avoid)


Place = tuple[Endpoint, bytes]
"""Where a request goes, and the head to send there."""
