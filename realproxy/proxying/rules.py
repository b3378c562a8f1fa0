"""The rules of the reverse and the forward side, which need neither connections nor a store."""

from __future__ import annotations

import random

from policies.reverse.routing import Routes
from policies.settings import ProxySettings
from realproxy.net.resolver import Resolver
from realproxy.proxying.forward_access import ForwardAccess


class RequestRules:
    """The routes of the reverse side, and the rules of the forward side (None if it is off).

    `trusted_hops` is the number of proxies in front of this one that are trusted about the client. `traces`
    says whether requests get a trace, with identifiers from `trace_rng`. Raises `BadInput` if a hosts file
    of the forward side cannot be read.
    """

    def __init__(self, settings: ProxySettings, resolver: Resolver) -> None:
        self.settings = settings
        self.routes = Routes(settings.route)
        self.forward: ForwardAccess | None = None
        if settings.forward is not None:
            self.forward = ForwardAccess(settings.forward, resolver, settings.limits)
        self.trusted_hops, self.traces = settings.trusted_hops, settings.trace
        self.trace_rng = random.Random()
