"""What a service does about upstreams that are slow, failing or overloaded, in words."""

from __future__ import annotations

from policies.settings import Service
from policies.settings.resilience import Eject, Limit, Queue


def explain_service(service: Service, *, timed: bool) -> list[str]:
    """One line for each mechanism that holds for a request, in the order in which the request meets them.

    `timed` says whether the request, or an attempt, has a deadline.
    """
    return [*_admission_notes(service), *_attempt_notes(service, timed=timed)]


def _admission_notes(service: Service) -> list[str]:
    """Who is let in, before an upstream is picked."""
    notes = []
    if service.rate is not None:
        notes.append(f"rate: {service.rate:g} requests a second, 429 above")
    if service.limit is not None:
        notes.append(f"limit: {_limit(service.limit)}")
    if service.queue is not None:
        notes.append(f"queue: {_queue(service.queue, limited=service.limit is not None)}")
    elif service.limit is not None:
        notes.append("queue: none, 503 at once above the limit")
    if service.breaker is not None:
        breaker = service.breaker
        notes.append(f"breaker: 503 for {breaker.open:g} s after {breaker.failures} failures in a row")
    return notes


def _attempt_notes(service: Service, *, timed: bool) -> list[str]:
    """Which upstreams are asked, and what they are told."""
    notes = []
    if service.eject is not None:
        notes.append(f"eject: {_eject(service.eject)}")
    if service.slow_start:
        notes.append(f"slow_start: who comes back has its full share after {service.slow_start:g} s")
    if timed:
        told = (
            "the upstream is told the time that is left" if service.deadline else "not told to the upstream"
        )
        notes.append(f"deadline: {told}")
    if service.hedge is not None:
        notes.append(f"hedge: a second upstream is asked after {service.hedge.after:g} s")
    if service.retry is not None:
        budget = service.retry.budget
        paid = "" if budget is None else f", with a budget of {budget:g} retries per request"
        notes.append(f"retry: {service.retry.attempts} attempts in all{paid}")
    return notes


def _limit(limit: Limit) -> str:
    if limit.policy == "fixed":
        return f"{limit.first} in flight"
    return f"{limit.policy}, {limit.first} in flight at first, learned between {limit.min} and {limit.max}"


def _queue(queue: Queue, *, limited: bool) -> str:
    above = "above the limit" if limited else f"above {queue.in_flight} in flight"
    if not queue.wait:
        return f"none, 503 at once {above}"
    first = "oldest" if queue.order == "fifo" else "newest"
    most = "" if queue.length is None else f", {queue.length} requests at most"
    return f"{queue.order}, the {first} goes first; {above} up to {queue.wait:g} s{most}, then 503"


def _eject(eject: Eject) -> str:
    by_rate = "" if eject.success_rate is None else ", or by its success rate beside the others'"
    grows = ", longer each time" if eject.grow else ""
    return f"after {eject.errors} failures in a row{by_rate}, for {eject.for_:g} s{grows}"
