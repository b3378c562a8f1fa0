"""The rules of the reverse and the forward side, which need neither connections nor a store."""

from __future__ import annotations

import random

from policies.reverse.routing import Routes
from policies.settings import ProxySettings
from realproxy.proxying.forward_access import ForwardAccess


class RequestRules:
    """The routes of the reverse side, and the rules of the forward side (None if it is off).

    `trusted_hops` is the number of proxies in front of this one that are trusted about the client. `traces`
    says whether a request that goes upstream gets a trace, and `logs_traces` whether every request gets one,
    for the log; the identifiers are from `trace_rng`.
    """

    def __init__(self, settings: ProxySettings, forward: ForwardAccess | None) -> None:
        self.settings, self.forward = settings, forward
        self.routes = Routes(settings.route)
        self.trusted_hops, self.traces = settings.trusted_hops, settings.trace
        self.logs_traces = settings.trace and settings.log is not None
        self.trace_rng = random.Random()
