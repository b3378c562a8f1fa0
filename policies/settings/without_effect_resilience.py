"""What a service's resilience has in its file and what does nothing there; rules as in `without_effect`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from policies.addresses import plain_address
from policies.settings.proxy import ProxySettings
from policies.settings.resilience import Eject, Limit, Queue
from policies.settings.services import Service

Problem = tuple[str, str]


def resilience_problems(service: Service, settings: ProxySettings) -> Iterator[Problem]:
    """What has no effect in the resilience of one service, with the key below the service."""
    limits, count = settings.limits, len(service.upstreams)
    retry, hedge = service.retry, service.hedge
    if service.resolve is not None and not any(_is_name(upstream.address) for upstream in service.upstreams):
        yield "resolve", "no upstream has a name"
    if service.eject is not None and service.resolve is None:
        yield from _eject(service.eject, count)
    if retry is not None and retry.attempts == 1:
        yield "retry.attempts", "the first attempt counts: expected 2 or more for a retry"
    if retry is not None and retry.budget == 0:
        yield "retry.budget", "no request earns a retry: after the first ten there are none"
    if hedge is not None and hedge.after >= limits.answer_timeout:
        yield "hedge.after", "limits.answer_timeout is over before"
    if service.queue is not None:
        yield from _queue(service.queue, service.limit, limits.threads)
    if service.limit is not None:
        yield from _limit(service.limit, limits.threads)
    if service.slow_start and service.resolve is None and count == 1:
        yield "slow_start", "there is only one upstream"


def _eject(eject: Eject, count: int) -> Iterator[Problem]:
    if int(eject.most * count) == 0:
        yield "eject.most", f"{eject.most:g} of {count} is less than one upstream: none is ever ejected"
        return
    given, judged = eject.model_fields_set, eject.success_rate
    if "most_for" in given and eject.grow is False:
        yield "eject.most_for", "only with 'grow'"
    if "every" in given and eject.grow is False and judged is None:
        yield "eject.every", "only with 'grow' or 'success_rate'"
    if judged is not None and judged.hosts > count:
        yield "eject.success_rate.hosts", f"there are only {count} upstreams: none is ever judged"
    elif judged is not None and judged.deviations >= math.sqrt(count - 1):
        most = f"{math.sqrt(count - 1):.3g}"
        yield "eject.success_rate.deviations", f"one of {count} upstreams is below the mean by {most} at most"


def _queue(queue: Queue, limit: Limit | None, threads: int) -> Iterator[Problem]:
    if queue.in_flight is not None and limit is not None:
        yield "queue.in_flight", "'limit' is obeyed instead"
    elif (queue.in_flight or 0) >= threads:
        yield "queue.in_flight", f"limits.threads allows no more than {threads} requests at once"
    if not queue.wait and limit is not None:
        yield "queue", "without 'wait', nobody waits in it"
    elif not queue.wait:
        for key in {"order", "length"} & queue.model_fields_set:
            yield f"queue.{key}", "without 'wait', nobody waits in it"


def _limit(limit: Limit, threads: int) -> Iterator[Problem]:
    given = limit.model_fields_set
    if "latency" in given and limit.policy in ("vegas", "fixed"):
        yield "limit.latency", "only 'aimd' compares latencies with it"
    if limit.policy == "fixed":
        for key in sorted(given & {"min", "max"}):
            yield f"limit.{key}", "a fixed limit stays at 'initial'"
        if limit.first >= threads:
            yield "limit.initial", f"limits.threads allows no more than {threads} requests at once"
    elif limit.min >= threads:
        yield "limit.min", f"limits.threads allows no more than {threads} requests at once"


def _is_name(address: str) -> bool:
    try:
        plain_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False
