"""The network between two hops: every message is under way for a while, and nobody queues for it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import numpy as np
from simpy import Environment, Event

from scenarios.distributions import Distribution
from scenarios.workload import Request
from simulator.routes import Reply

Asking = Generator[Event, None, Reply]
Handle = Callable[[Request, float], Asking]
"""Sends a request at a time, and returns when its reply is there."""

Latency = Callable[[], float]

_BLOCK = 512
_STREAM = 2**31 + 64
"""Stream of the first link's latencies; the workload's have smaller numbers."""


def latency_draws(distribution: Distribution | None, seed: int, link: int) -> Latency | None:
    """Seconds that each message takes, one after the other; ``None`` if it takes no time.

    Parameters
    ----------
    distribution : Distribution, optional
        Of durations.
    seed : int
        The scenario's.
    link : int
        Which link: each has a stream of its own.
    """
    if distribution is None:
        return None
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM + link,)))

    def draws() -> Iterator[float]:
        while True:
            yield from distribution.sample(rng, _BLOCK).tolist()

    return draws().__next__


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
