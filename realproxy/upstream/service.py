"""A service: its upstreams, who is asked next, and what is known of those that fail.

Threads. One lock a service: the balancer and all decisions of its resilience are called under it,
by workers, the health checks and the admin port. It is never held while anything waits.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection
from typing import Any

from policies.balancing import Dispatch
from policies.resilience import REASONS, Attempts, Precautions
from policies.settings import Service as ServiceSettings
from realproxy.net.address import split_address
from realproxy.upstream.admission_control import AdmissionControl
from realproxy.upstream.transport import UpstreamTransport


class PickedUpstream:
    """The upstream of one request; counted as outstanding there until `finish`.

    Attributes
    ----------
    index : int
        Which of the service's upstreams it is.
    address : Address
    name : str
        As in the settings.
    done : bool
        Whether it is finished.
    """

    __slots__ = ("_service", "address", "done", "index", "name", "started")

    def __init__(self, service: Service, index: int, started: float) -> None:
        self._service, self.index, self.started = service, index, started
        self.address, self.name = service.addresses[index], service.names[index]
        self.done = False

    def finish(self, failed: bool | None = False) -> None:
        """The upstream is done with the request; only the first call counts.

        Parameters
        ----------
        failed : bool or None
            Whether it has failed it; None if that is not known, as of a request that was cancelled.
        """
        if not self.done:
            self.done = True
            self._service.finish(self, failed)


class Service:
    """The upstreams of one service, their balancer, and what is decided when they fail.

    Parameters
    ----------
    name : str
        From the settings.
    settings : policies.settings.Service
        Its table.
    rng : random.Random
        For the balancer.

    Attributes
    ----------
    settings : policies.settings.Service
        As given.
    proxy_protocol : str or None
        The version that connections to upstreams begin with.
    transport : UpstreamTransport or None
        How connections for requests begin; None if there is nothing before them.
    names : list of str
        Of the upstreams, as in the settings.
    addresses : list of Address
        Of the upstreams.
    decisions : policies.resilience.Precautions
        To be asked under the lock, except for what never changes.
    admission : AdmissionControl or None
        What requests pass first; None if there is neither a rate limit nor a queue or breaker.
    """

    def __init__(self, name: str, settings: ServiceSettings, rng: random.Random) -> None:
        self.name, self.settings, self.proxy_protocol = name, settings, settings.proxy_protocol
        begins = settings.tls is not None or settings.proxy_protocol is not None
        self.transport = UpstreamTransport(settings) if begins else None
        self.names = [upstream.address for upstream in settings.upstreams]
        self.addresses = [split_address(address) for address in self.names]
        weight = [upstream.weight for upstream in settings.upstreams]
        self._dispatch = Dispatch(settings.balance, weight, rng, snapshot=settings.load_snapshot)
        self._requests = [0] * len(self.names)
        self._failures = [0] * len(self.names)
        self._lock = threading.Lock()
        decisions = self.decisions = Precautions(settings, self._dispatch.upstreams)
        gated = decisions.rate or decisions.queue or decisions.breaker
        self.admission = AdmissionControl(name, decisions, self._lock) if gated else None
        self._ejects = settings.eject is not None

    @property
    def prompt(self) -> bool:
        """Whether asking it takes no more than a connection: no gate, no hedge, nothing before HTTP."""
        return self.admission is None and self.transport is None and self.decisions.hedge_after is None

    def read_files(self) -> None:
        """Read what its settings name again, for the connections to come; raises `OSError`."""
        if self.transport is not None:
            self.transport = UpstreamTransport(self.settings)

    def start(self, client: str, failed: Collection[int] = ()) -> PickedUpstream:
        """Pick the upstream for a request of `client` and count it as outstanding there.

        Parameters
        ----------
        client : str
            What balancers with affinity hash by.
        failed : collection of int
            Upstreams that have failed this request already.
        """
        now = time.monotonic()
        with self._lock:
            if self._ejects:
                self.decisions.refresh(now)
            index = self._dispatch.start(client, now, failed)
            self._requests[index] += 1
        return PickedUpstream(self, index, now)

    def finish(self, pick: PickedUpstream, failed: bool | None) -> None:
        """See `PickedUpstream.finish`."""
        now = time.monotonic()
        with self._lock:
            self._dispatch.finish(pick.index, now - pick.started, now, failed is True)
            if failed is not None:
                self._failures[pick.index] += failed
                if self._ejects:
                    self.decisions.ended(pick.index, failed, now)

    def attempts(self) -> Attempts:
        """Those of a new request."""
        if self.settings.retry is None:
            return self.decisions.attempts()  # shares nothing
        with self._lock:
            return self.decisions.attempts()

    def again(self, attempts: Attempts, *, refused: bool, repeatable: bool) -> bool:
        """Whether a request that failed goes on to another upstream, see `Attempts.again`."""
        with self._lock:
            return self.decisions.again(attempts, refused=refused, repeatable=repeatable)

    def probed(self, index: int, good: bool) -> None:
        """A health check of an upstream has ended."""
        with self._lock:
            self.decisions.probed(index, good, time.monotonic())

    def counts(self) -> list[dict[str, Any]]:
        """Of every upstream: requests so far, failed and outstanding ones; 1 where it is left alone."""
        with self._lock:
            return [
                {
                    "address": name,
                    "requests": self._requests[index],
                    "failures": self._failures[index],
                    "outstanding": self._dispatch.outstanding[index],
                    **{reason: int(reason in self.decisions.reasons(index)) for reason in REASONS},
                }
                for index, name in enumerate(self.names)
            ]

    def state(self) -> dict[str, int]:
        """How many wait in the queue, and 1 if the breaker is not closed."""
        now = time.monotonic()
        with self._lock:
            queue, breaker = self.decisions.queue, self.decisions.breaker
            return {
                "waiting": 0 if queue is None else queue.waiting,
                "breaker_open": int(breaker is not None and breaker.state(now) != "closed"),
            }
