"""Names of upstreams that are resolved anew: each address of a name is an upstream that comes and goes.

Threads. A `NameWatch` belongs to the thread of its loop; any thread may call `start` and `stop`. The threads
of the resolver hand the addresses to the services, which change under their own locks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from realproxy.net.resolver import Resolver
from realproxy.runtime.event_loop import EventLoop, Timer
from realproxy.upstream.service import Service


class NameWatch:
    """Resolves the names of services with ``resolve`` at their interval.

    A name that has no address for the moment keeps those it had.
    """

    def __init__(self, services: Iterable[Service], resolver: Resolver, loop: EventLoop) -> None:
        self._services = [service for service in services if service.settings.resolve is not None]
        self._resolver, self._loop = resolver, loop
        self._timers: dict[Service, Timer] = {}
        self._stopped = False

    def start(self) -> None:
        """Start the first interval."""
        for service in self._services:
            self._loop.call(partial(self._schedule, service))

    def stop(self) -> None:
        """Look up no more names."""
        self._loop.call(self._stop)

    # --- called in the thread of the loop -------------------------------------------------------

    def _stop(self) -> None:
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()

    def _schedule(self, service: Service) -> None:
        every = service.settings.resolve
        assert every is not None
        if not self._stopped:
            self._timers[service] = self._loop.at(time.monotonic() + every, partial(self._look_up, service))

    def _look_up(self, service: Service, _: float) -> None:
        for name in service.roster.changing:
            self._resolver.resolve_async(name, partial(service.found, name))
        self._schedule(service)
