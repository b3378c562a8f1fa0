"""A recorded sequence of starts, failures and finishes, as plain data, and what must be decided about it.

Both twins are driven through `EVENTS` with the settings `SERVICE`, the seed `SEED` and the service's name
`NAME`, and must decide as `decisions` does, which follows the order in the docstring of `Precautions`. No
request is retried, and none waits in a queue.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from policies.balancing import Dispatch, dispatch_rng
from policies.concurrency import limit_rng
from policies.resilience import Precautions, is_failure
from policies.settings import Service

SEED, NAME, UPSTREAMS = 7, "web", 6
SERVICE = {
    "upstreams": [f"127.0.0.1:{port}" for port in range(9001, 9001 + UPSTREAMS)],
    "balance": "p2c",
    "rate": "400/s",
    "limit": {"policy": "vegas", "initial": 8, "max": 60},
    "breaker": {"failures": 12, "open": "300ms"},
    "eject": {
        "errors": 4, "for": "1s", "grow": True, "every": "2s", "most": 0.5,
        "success_rate": {"hosts": 5, "requests": 15},
    },
    "slow_start": "2s",
}  # fmt: skip


class Event(NamedTuple):
    """A request starts (status 0) or ends, at a time in seconds; it carries a number."""

    at: float
    request: int
    status: int = 0


def _events() -> list[Event]:
    """Ten seconds: upstream-independent ends, with a storm of failures from 3 to 4 s and 7 to 7.2 s."""
    rng = random.Random(11)
    events, now = list[Event](), 0.0
    for request in range(3000):
        now += rng.expovariate(300.0)
        took = rng.gammavariate(4, 0.01)
        failing = 3.0 <= now < 4.0 or 7.0 <= now < 7.2
        status = 503 if rng.random() < (0.7 if failing else 0.02) else 200
        events += [Event(now, request), Event(now + took, request, status)]
    return sorted(events)


EVENTS = _events()


def decisions() -> Iterator[tuple[Event, int]]:
    """For each start: the upstream's index, or minus the status of the refusal."""
    settings = Service.model_validate(SERVICE)
    dispatch = Dispatch("p2c", [1.0] * UPSTREAMS, dispatch_rng(SEED, NAME), slow_start=settings.slow_start)
    service = Precautions(settings, dispatch.upstreams, limit_rng(SEED, NAME))
    assert service.rate is not None
    assert service.queue is not None
    assert service.breaker is not None
    running: dict[int, tuple[float, int]] = {}
    for event in EVENTS:
        now, request, status = event
        if not status:
            if not service.rate.allows(now):
                yield event, -429
            elif not service.queue.enter(request, now):
                yield event, -503
            elif not service.breaker.allows(now):
                service.queue.leave(now)
                yield event, -503
            else:
                service.refresh(now)
                index = dispatch.start(None, now)
                running[request] = now, index
                yield event, index
        elif request in running:
            began, index = running.pop(request)
            failed = is_failure(status)
            dispatch.finish(index, now - began, now, failed)
            service.ended(index, failed, now)
            service.breaker.ended(failed, began, now)
            assert service.queue.leave(now, began, failed) == []
