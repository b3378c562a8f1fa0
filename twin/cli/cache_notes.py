"""What a reader of hit ratios must know about the caches: their room, what an object costs, the warm-up."""

from __future__ import annotations

from collections.abc import Iterable

from policies.units import format_duration, format_size
from scenarios.schema import Scenario

_MOST = 4
"""Capacities that are listed; of more, the smallest and the largest are shown."""


def room_of_caches(scenarios: Iterable[Scenario]) -> str | None:
    """One line about the caches of these scenarios; None if nothing caches.

    Examples
    --------
    >>> from scenarios import load_scenario
    >>> room_of_caches([load_scenario("small-cache").scenario])
    'cache: 256KiB, overhead 512B an object; hits are counted after the warm-up (2s)'
    """
    caching = [(one, proxy.cache) for one in scenarios for proxy in one.chain if proxy.caching]
    if not caching:
        return None
    capacities = _listed(cache.capacity for _, cache in caching)
    overheads = _listed(cache.overhead for _, cache in caching)
    line = f"cache: {capacities}, overhead {overheads} an object"
    begin = caching[0][0].window[0]
    return f"{line}; hits are counted after the warm-up ({format_duration(begin)})" if begin else line


def _listed(sizes: Iterable[int]) -> str:
    different = sorted(set(sizes))
    if len(different) > _MOST:
        return f"{format_size(different[0])} to {format_size(different[-1])}"
    return ", ".join(map(format_size, different))
