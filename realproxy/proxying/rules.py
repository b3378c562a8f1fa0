"""What decides which requests are taken, and by whom: it needs neither connections nor a store."""

from __future__ import annotations

import random

from policies.reverse.routing import Routes
from policies.settings import ProxySettings
from realproxy.proxying.forward_access import ForwardAccess


class RequestRules:
    """The routes of the reverse side, and the rules of the forward side.

    Parameters
    ----------
    settings : ProxySettings
        Of the whole proxy.
    forward : ForwardAccess or None
        What the forward side allows; None if it is off.

    Attributes
    ----------
    routes : Routes
        The compiled rules.
    trusted_hops : int
        Proxies in front of this one whose word about the client counts.
    traces, logs_traces : bool
        Whether a request that goes upstream is given a trace; whether every request is, for the log.
    trace_rng : random.Random
        Where the identifiers of new traces come from.
    """

    def __init__(self, settings: ProxySettings, forward: ForwardAccess | None) -> None:
        self.settings, self.forward = settings, forward
        self.routes = Routes(settings.route)
        self.trusted_hops, self.traces = settings.trusted_hops, settings.trace
        self.logs_traces = settings.trace and settings.log is not None
        self.trace_rng = random.Random()
