"""One attempt of a watched request: it ends with a response, at its limit, or when its replica goes down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from simpy import Event

from policies.resilience import is_failure
from scenarios.workload import Request
from simulator.backend import PAST_DUE, Replica
from simulator.processes import Life, Signal
from simulator.routes import Reply

if TYPE_CHECKING:
    from simulator.resilience import Resilience

Judge = Callable[[bool, float], None]
"""Is told of the end of each attempt: whether it failed, and when it began."""
BAD_GATEWAY, UNAVAILABLE, TOO_LATE, TOO_MANY = Reply(502), Reply(503), Reply(504), Reply(429)


class Limits(NamedTuple):
    """What holds for all attempts of a request.

    Attributes
    ----------
    judge : Judge or None
    due : float
        When the whole request is due, in seconds; infinity without a deadline.
    each : float
        Seconds for each attempt; infinity without such a limit.
    """

    judge: Judge | None = None
    due: float = math.inf
    each: float = math.inf


NO_LIMITS = Limits()


class Attempt(Signal):
    """A request at one upstream; fires with its end, unless it has ended when `begin` returns.

    Parameters
    ----------
    watch : Resilience
        The service's, whose balancer has picked the upstream.
    request : Request
    index : int
        The upstream.
    limits : Limits

    Attributes
    ----------
    reply : Reply
        The response, or the proxy's own error.
    refused : bool
        Whether the connection was refused.
    heard : bool
        Whether the response or its failure is known; it may still be on its way over the link.
    over : bool
        Whether the attempt has ended.

    Notes
    -----
    An upstream goes on with its work when nobody waits for it any more.
    """

    def __init__(self, watch: Resilience, request: Request, index: int, limits: Limits) -> None:
        self.callbacks = []
        self._watch, self._request, self.index, self._limits = watch, request, index, limits
        self.reply, self.refused, self.heard, self.over = BAD_GATEWAY, False, False, False

    def begin(self, now: float) -> None:
        """Send the request."""
        watch, self._began, limits = self._watch, now, self._limits
        service, ends = watch.service, min(now + watch.limit, now + limits.each, limits.due)
        due = min(limits.due, now + limits.each) if service.tells_deadlines else math.inf
        replica = self._replica = service.replicas[self.index]
        self.refused = not replica.up
        if not service.is_local:
            watch.alarms.set(ends, self)
            Life(self._reach(due))
        elif self.refused or not isinstance(replica, Replica):
            self._hear(BAD_GATEWAY)
        else:
            self._life = replica.life
            work = replica.begin(self._request.demand[service.backends[self.index]], now, due)
            assert work.callbacks is not None
            work.callbacks.append(self._worked)
            if replica.may_fail:
                replica.watching[self] = None
            watch.alarms.set(ends, self)

    def _worked(self, work: Event) -> None:
        """A local replica has done the work, unless it has gone down in the meantime or refused it."""
        replica, service = self._replica, self._watch.service
        if not isinstance(replica, Replica) or replica.life != self._life:
            return
        if work.value is PAST_DUE:
            if not self.heard:
                self._hear(TOO_LATE)
            return
        now = self._watch.env.now
        replica.end(now)
        if service.fetches is not None:
            service.fetches.note(self._request.object, self._began, now)
        if not self.heard:
            self._hear(service.reply_of(self.index))

    def _reach(self, due: float) -> Iterator[Event]:
        reply = yield from self._watch.service.reach(self.index, self._request, due)
        if not self.heard:
            self._hear(reply)

    def late(self) -> None:
        """The limit has passed."""
        self._hear(TOO_LATE)

    def broken(self) -> None:
        """The replica has gone down."""
        self._hear(BAD_GATEWAY)

    def cancel(self) -> None:
        """Nobody wants the response any more; the attempt says nothing of its upstream."""
        self._leave()
        self.over = True
        now = self._watch.env.now
        self._watch.service.dispatch.finish(self.index, now - self._began, now)

    def _leave(self) -> None:
        self.heard = True
        replica = self._replica
        if isinstance(replica, Replica) and replica.may_fail:
            replica.watching.pop(self, None)

    def _hear(self, reply: Reply) -> None:
        self.reply = reply
        self._leave()
        if self._watch.link:
            self._watch.env.timeout(self._watch.link).callbacks.append(self._settle)
        else:
            self._settle(None)

    def _settle(self, _event: Event | None) -> None:
        if self.over:
            return  # cancelled while the response was on the link
        self.over = True
        watch, index = self._watch, self.index
        now, failed = watch.env.now, is_failure(self.reply.status)
        watch.service.dispatch.finish(index, now - self._began, now, failed)
        watch.decisions.ended(index, failed, now)
        if self._limits.judge is not None:
            self._limits.judge(failed, self._began)
        self.fire()
