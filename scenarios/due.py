"""Which requests of a scenario are due: none in the window is an error, and what is cut or empty is said."""

from __future__ import annotations

from itertools import accumulate, takewhile

import numpy as np

from policies.bad_input import BadInput
from scenarios.records import Summary
from scenarios.schema import Scenario
from scenarios.timeline import due_times, length, timeline
from scenarios.workload import pauses, random_streams

_FEW = 50
"""An open load sends no request with a probability of exp(-50), if this is the number that is expected."""
_USERS = 10_000
"""Users of a closed load that are looked at."""
_SHARE = 0.01
"""If a trace ends before this share of `duration` is left, nothing is said."""
_FAST_RPS = 1e5
_IDLE = {False: ("think",), True: ("think", "objects", "popularity", "size")}
"""Settings of a workload that only other kinds of load obey; the key says whether there is a trace."""


def check_due(scenario: Scenario, where: str) -> None:
    """Raise `BadInput` if no request is due between the end of the warm-up and the end of the run."""
    begin, end = scenario.window
    if begin >= end:
        raise BadInput(where, "warmup", f"expected less than the {_s(end)} that the trace lasts")
    workload = scenario.workload
    if workload.trace is not None:
        times = due_times(workload)
        if not _any_within(times, begin, end):
            last = times[np.searchsorted(times, end) - 1]
            before = (
                f"of {', '.join(workload.trace_files)}, whose last one before the end is due at {_s(last)}"
            )
            raise BadInput(where, "warmup", _nothing(scenario, f" {before},"))
    elif not _draws_any(scenario):
        key = "workload.rate" if workload.users is None else "workload.think"
        raise BadInput(where, key, _nothing(scenario))


def check_sent(summary: Summary, scenario: Scenario, where: str) -> None:
    """Raise `BadInput` if a run has no request to evaluate: users may have waited for slow responses."""
    if not summary.requests:
        raise BadInput(where, "duration", _nothing(scenario))


def _nothing(scenario: Scenario, which: str = "") -> str:
    begin, end = scenario.window
    return (
        f"no request{which} is due between the end of the warm-up, {_s(begin)}, "
        f"and the end of the run, {_s(end)}; expected more requests, a shorter warmup or a longer duration"
    )


def _any_within(times: np.ndarray, begin: float, end: float) -> bool:
    return bool(np.searchsorted(times, end) > np.searchsorted(times, begin))


def _draws_any(scenario: Scenario) -> bool:
    """Whether any user, or the open load, may have a request that is due in the window."""
    (begin, end), workload = scenario.window, scenario.workload
    if workload.rate is not None:
        grid = np.linspace(begin, end, 10_000)
        factor = 1.0 if workload.profile is None else float(workload.profile.factor(grid).mean())
        if factor * workload.rate * (end - begin) > _FEW:
            return True
    elif (workload.users or 0) > _USERS:
        return True
    for number in range(workload.users or 1):
        rng = random_streams(scenario.seed, number, 1)[0]
        due = takewhile(lambda moment: moment < end, accumulate(pauses(workload, scenario.seed, rng)))
        if any(moment >= begin for moment in due):
            return True
    return False


def remarks(scenario: Scenario) -> list[str]:
    """What a user should know of the workload: how a trace is replayed, and which settings have no effect."""
    workload = scenario.workload
    idle = [key for key in _IDLE[workload.trace is not None] if key in workload.model_fields_set]
    if workload.users is None and idle:
        keys, way = (
            ", ".join(f"workload.{key}" for key in idle),
            "rate" if workload.trace is None else "trace",
        )
        return [f"{keys}: no effect, because workload.{way} is given", *_about_trace(scenario)]
    return _about_trace(scenario)


def _about_trace(scenario: Scenario) -> list[str]:
    workload = scenario.workload
    if workload.trace is None:
        return []
    said = [*_about_times(scenario), *_about_units(scenario)]
    replaced = [name for name, group in scenario.backend.items() if "service_time" in group.model_fields_set]
    if timeline(workload).trace.service is not None and replaced:
        keys = ", ".join(f"backend.{name}.service_time" for name in replaced)
        called = any(group.calls for group in scenario.backend.values())
        said.append(f"its service_s replace {keys}" + (", but not for calls" if called else ""))
    notes = list(timeline(workload).trace.notes)
    about = f"{', '.join(workload.trace_files)}: {'; '.join(said)}"
    return [*notes, about] if said else notes


def _about_times(scenario: Scenario) -> list[str]:
    workload = scenario.workload
    (_, first, moved), times = timeline(workload), due_times(workload)
    count, lasts, end = len(timeline(workload).trace.times), length(times), scenario.duration
    sent = min(count, int(np.searchsorted(times, end)) * workload.fanout)
    said = []
    if first:
        said.append(f"time begins at its first request, at {first:.15g} s")
    if moved:
        said.append(f"{moved:,} of its {_requests(count)} stood after a later one: it is sorted by time")
    if scenario.follows_trace:
        said.append(f"duration follows its {_requests(count)}: {_s(end)}")
    elif sent < count:
        said.append(
            f"duration is {_s(end)}, but the trace lasts {_s(lasts)}: "
            f"it is cut after {sent:,} of its {_requests(count)}"
        )
    elif end - lasts > _SHARE * end:
        said.append(
            f"duration is {_s(end)}, but the trace lasts {_s(lasts)}: "
            f"nothing is sent after its last request, at {_s(times[-1])}"
        )
    if scenario.follows_trace and scenario.warmup is not None and "warmup" not in scenario.model_fields_set:
        said.append("all of them come at once, so there is no warm-up")
    return said


def _about_units(scenario: Scenario) -> list[str]:
    trace, lasts = timeline(scenario.workload).trace, length(due_times(scenario.workload))
    rate = len(trace.times) / lasts
    if trace.times[-1] and rate > _FAST_RPS:
        return [f"warning: these are {rate:,.0f} requests per second; are its times seconds?"]
    return []


def _s(seconds: float) -> str:
    return f"{seconds:,.6g} s"


def _requests(count: int) -> str:
    return f"{count:,} request" if count == 1 else f"{count:,} requests"
