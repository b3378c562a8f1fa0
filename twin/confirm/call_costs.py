"""The costs of sidecars, from a probe in which every request makes each call once, one after the other."""

from __future__ import annotations

import numpy as np

from loadtests import Measurement
from simulator import Costs


def slot_extra(run: Measurement) -> float:
    """Seconds that a backend's slot is held beyond the demanded work and the calls, per request."""
    calls = run.records.calls
    waits, asked = (0.0, 0) if calls is None else (float((calls.end - calls.begin).sum()), len(calls))
    beyond = run.backends["busy_seconds"] - run.backends["demand_seconds"] - waits
    return max(beyond, 0.0) / (len(run.records) + asked)


def calls_per_request(run: Measurement, cut: float) -> float:
    """Seconds that a request of a client waits for its calls, on average, without the first `cut` seconds."""
    calls = run.records.calls
    if calls is None:
        return 0.0
    first = (calls.depth == 1) & (calls.begin >= cut)
    requests = int(np.count_nonzero(run.records.sent >= cut))
    return float((calls.end - calls.begin)[first].sum()) / max(requests, 1)


def sidecar_costs(run: Measurement, extra: float, work: float, cut: float) -> Costs | None:
    """The costs of each sidecar; None without calls.

    A call to a backend that asks nobody takes its work, and the way there: three links with two sidecars
    between them.
    """
    calls = run.records.calls
    if calls is None or not len(calls):
        return None
    deepest = calls.begin >= cut
    deepest &= np.isin(calls.service, _leaves(run))
    cpu = run.sidecar_cpu_seconds / (len(run.records) + 2 * len(calls))
    over = np.median((calls.end - calls.begin)[deepest]) if deepest.any() else work + extra + 2 * cpu
    link = max(float(over) - work - extra - 2 * cpu, 0.0) / 3
    return Costs(cpu, cpu, 0.0, link, extra)


def _leaves(run: Measurement) -> list[int]:
    """Numbers of the backends that asked nobody: in an idle system their calls are the shortest."""
    calls = run.records.calls
    assert calls is not None
    numbers = np.unique(calls.service).tolist()
    shortest = {
        number: float(np.median((calls.end - calls.begin)[calls.service == number])) for number in numbers
    }
    least = min(shortest.values())
    return [number for number, time in shortest.items() if time < 1.5 * least]
