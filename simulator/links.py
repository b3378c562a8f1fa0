"""The network between two hops: every message is under way for a while, and nobody queues for it."""

from __future__ import annotations

from collections.abc import Callable, Generator

from simpy import Environment, Event

from scenarios.latency import Latency
from scenarios.workload import Request
from simulator.routes import Reply

Asking = Generator[Event, None, Reply]
Handle = Callable[[Request, float], Asking]
"""Sends a request at a time, and returns when its reply is there."""


def over_link(env: Environment, handle: Handle, latency: Latency | None) -> Handle:
    """`handle` at the other end of a link: the request takes the way there, the reply the way back."""
    if latency is None:
        return handle

    def linked(request: Request, _now: float) -> Asking:
        yield env.timeout(latency())
        reply = yield from handle(request, env.now)
        yield env.timeout(latency())
        return reply

    return linked
