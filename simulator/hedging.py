"""A hedged attempt: a second request beside a slow one; the first response counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpy import Event

from policies.resilience import Attempts, is_failure
from scenarios.workload import Request
from simulator.attempt import BAD_GATEWAY, Attempt, Limits
from simulator.processes import Signal
from simulator.routes import Reply

if TYPE_CHECKING:
    from simulator.resilience import Resilience


class HedgedAttempt(Signal):
    """One attempt with one or two requests; fires with its end, unless it has ended when `begin` returns.

    Parameters
    ----------
    watch : Resilience
    request : Request
    attempts : Attempts
        Of the request; learns which upstreams have failed.
    limits : Limits

    Attributes
    ----------
    reply : Reply
        The first response, or the last failure.
    refused : bool
        Whether all upstreams that were asked refused the connection.
    heard, over : bool
        As in `Attempt`; `heard` is also true once the second request is sent.
    """

    def __init__(self, watch: Resilience, request: Request, attempts: Attempts, limits: Limits) -> None:
        self.callbacks = []
        self._watch, self._request, self._attempts, self._limits = watch, request, attempts, limits
        self._tries: list[Attempt] = []
        self._ended = 0
        self.reply: Reply = BAD_GATEWAY
        self.refused, self.heard, self.over = True, False, False

    def begin(self, now: float) -> None:
        """Send the first request."""
        self._send(now)
        if not self.over:
            self._watch.alarms.set(now + self._watch.hedge_after, self)

    def late(self) -> None:
        """The first request is slow: send the second."""
        self.heard = True
        self._send(self._watch.env.now)

    def _send(self, now: float) -> None:
        avoided = (*self._attempts.failed, *(one.index for one in self._tries))
        attempt = Attempt(
            self._watch, self._request, self._watch.pick(self._request, now, avoided), self._limits
        )
        self._tries.append(attempt)
        attempt.callbacks.append(self._one_ended)
        attempt.begin(now)

    def _one_ended(self, attempt: Event) -> None:
        assert isinstance(attempt, Attempt)
        self._ended += 1
        self.reply, self.refused = attempt.reply, self.refused and attempt.refused
        failed = is_failure(attempt.reply.status)
        if failed:
            self._attempts.failed.append(attempt.index)
        if not failed or self._ended == len(self._tries):
            self.heard = self.over = True
            for other in self._tries:
                if not other.over:
                    other.cancel()
            self.fire()
