"""The rules that make a real run void: each yields one sentence, or nothing.

A sentence says what was measured and what the limit is. It names a cause only if the cause was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from loadtests.run.machine_load import MachineLoad
from scenarios.records import NO_UPSTREAM, Records
from scenarios.workload import Workload

CPU_SHARE_LIMIT = 0.5
"""Share of one core; beyond it, queueing inside the generator affects response times."""
LAG_LIMIT_MS = 2.0
"""How late the generator may send a request at p99."""
LATE_LIMIT_MS = 1.0
"""How late a replica may be on average, beyond the demanded work and the wait for a slot."""


def reasons_void(
    records: Records,
    workload: Workload,
    duration: float,
    generator: Mapping[str, float],
    replicas: Mapping[str, Mapping[str, float]],
    *,
    refetching: bool = False,
    failing: bool = False,
    cutting: bool = False,
    mirrored: frozenset[str] = frozenset(),
    sharing: bool = False,
    load: MachineLoad | None = None,
) -> list[str]:
    """The reasons why a run is void; empty if it is valid.

    Parameters
    ----------
    records : Records
        The requests, as the clients saw them.
    workload : Workload
        The requests that the clients should have sent, for `duration` seconds.
    generator : mapping
        The result of `loadtests.users.replay.Replay.health`.
    replicas : mapping of str to mapping
        ``requests`` and ``late_seconds`` of each replica during the run.
    refetching : bool
        The proxy also sends requests in the background, after stale responses. Then backends work on more
        requests than clients see, but at most on one more for each response from the store.
    failing : bool
        The scenario has requests that are refused, lost or repeated. Then errors of the proxy are
        results, and backends may work on more requests than clients see, but never on fewer.
    cutting : bool
        The scenario also truncates responses, or resets connections instead of sending a response.
    mirrored : frozenset of str
        Replicas that get copies of requests, so they work on more than clients see. Those of backends that
        others call work on more than that, too: what they worked on is set beside the calls.
    sharing : bool
        Clients that wait for one fetch may all get its error, so they may see more errors than there were.
    load : MachineLoad, optional
        How busy the machine was during the run; where something was late, the sentence says it.
    """
    meanwhile = "" if load is None else f": {load}"
    return [
        *_generator_too_busy(generator),
        *_sent_late(generator, meanwhile),
        *_sent_other_than_planned(records, workload, duration, generator),
        *_backends_disagree(records, replicas, refetching, failing, mirrored | _called(records), sharing),
        *_calls_disagree(records, replicas, failing, mirrored),
        *_backends_late(replicas, meanwhile),
        *_errors(records, failing, cutting),
    ]


def _generator_too_busy(generator: Mapping[str, float]) -> Iterator[str]:
    if generator["cpu_share"] > CPU_SHARE_LIMIT:
        yield (
            f"the load generator itself used {generator['cpu_share']:.0%} of one core, "
            f"more than {CPU_SHARE_LIMIT:.0%}, so requests may have queued inside it: "
            "use fewer users, a lower rate or smaller responses"
        )


def _sent_late(generator: Mapping[str, float], meanwhile: str) -> Iterator[str]:
    if generator["lag_p99_ms"] > LAG_LIMIT_MS:
        yield (
            f"the load generator sent 1 % of the requests at least {generator['lag_p99_ms']:.1f} ms late, "
            f"more than {LAG_LIMIT_MS:g} ms{meanwhile}"
        )


def _sent_other_than_planned(
    records: Records, workload: Workload, duration: float, generator: Mapping[str, float]
) -> Iterator[str]:
    planned = generator["planned"] if workload.closed else _arrivals(workload, duration)
    if len(records) != planned:
        yield f"{planned:.0f} requests were planned, but {len(records)} were sent"
    silent = _users_with_time(workload, duration) - len(np.unique(records.user)) if workload.closed else 0
    if silent > 0:
        yield f"{silent} of {workload.streams} users sent no request"
    order = np.lexsort((records.seq, records.user))
    users, seqs = records.user[order], records.seq[order]
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    expected = np.arange(len(users)) - np.repeat(starts, np.diff(starts, append=len(users)))
    wrong = np.unique(users[seqs != expected])
    if len(wrong):
        yield f"requests were left out or repeated in {len(wrong)} of {workload.streams} streams"


def _arrivals(workload: Workload, duration: float) -> int:
    count, due = 0, 0.0
    for parts in workload.wholes(0):
        due += parts[0].pause
        if due >= duration and workload.endless:
            break
        count += len(parts)
    return count


def _users_with_time(workload: Workload, duration: float) -> int:
    """Number of users whose first request is due before the end."""
    firsts = (next(workload.stream(user), None) for user in range(workload.streams))
    return sum(first is not None and first.pause < duration for first in firsts)


def _backends_disagree(
    records: Records,
    replicas: Mapping[str, Mapping[str, float]],
    refetching: bool,
    failing: bool,
    mirrored: frozenset[str],
    sharing: bool,
) -> Iterator[str]:
    reached = records.upstream[records.upstream != NO_UPSTREAM]
    answered = np.bincount(reached, minlength=len(records.upstreams))
    errors = records.upstream[(records.upstream != NO_UPSTREAM) & (records.status >= 500)]
    shared = np.bincount(errors, minlength=len(records.upstreams)) * sharing
    for place, (name, seen) in enumerate(zip(records.upstreams, answered.tolist(), strict=True)):
        worked = replicas[name]["requests"]
        if worked < seen - shared[place] or (
            worked > seen and not (refetching or failing or name in mirrored)
        ):
            yield (
                f"{name} worked on {worked:.0f} requests, but clients saw {seen} responses from it: "
                "requests were repeated, lost, or answered by another server"
            )
    unseen = sum(
        replicas[name]["requests"] - seen
        for name, seen in zip(records.upstreams, answered.tolist(), strict=True)
        if name not in mirrored
    )
    from_store = int(np.count_nonzero(records.hit))
    if refetching and not failing and unseen > from_store:
        yield (
            f"backends got {unseen:.0f} requests whose responses no client saw, but only {from_store} "
            "responses came from the store"
        )


def _called(records: Records) -> frozenset[str]:
    """The replicas whose backends others call."""
    if records.calls is None:
        return frozenset()
    names = {records.calls.services[number] for number in np.unique(records.calls.service)}
    return frozenset(name for name in records.upstreams if name.rpartition("/")[0] in names)


def _calls_disagree(
    records: Records, replicas: Mapping[str, Mapping[str, float]], failing: bool, mirrored: frozenset[str]
) -> Iterator[str]:
    """With faults or limits, calls may be refused or repeated on their way, so nothing is said."""
    calls, called = records.calls, _called(records)
    if calls is None or failing or called & mirrored:
        return
    for number, backend in enumerate(calls.services):
        own = [name for name in called if name.rpartition("/")[0] == backend]
        if not own:
            continue
        worked = sum(replicas[name]["requests"] for name in own)
        seen = sum(
            int(np.count_nonzero(records.upstream == place))
            for place, name in enumerate(records.upstreams)
            if name in own
        )
        asked = int(np.count_nonzero(calls.service == number)) + seen
        if worked != asked:
            yield (
                f"{backend} worked on {worked:.0f} requests, but {asked} were sent to it: "
                "calls were repeated, lost, or answered by another server"
            )


def _backends_late(replicas: Mapping[str, Mapping[str, float]], meanwhile: str) -> Iterator[str]:
    for name, done in replicas.items():
        late_ms = done["late_seconds"] / max(done["requests"], 1) * 1e3
        if late_ms > LATE_LIMIT_MS:
            yield (
                f"{name} took {late_ms:.1f} ms longer than its service time on average, "
                f"more than {LATE_LIMIT_MS:g} ms{meanwhile}"
            )


def _errors(records: Records, failing: bool, cutting: bool) -> Iterator[str]:
    unanswered = int(np.count_nonzero(records.status == 0))
    if unanswered and not cutting:
        yield f"{unanswered} of {len(records)} requests got no complete response"
    own = records.status[(records.status >= 400) & (records.upstream == NO_UPSTREAM)]
    if len(own) and not failing:
        most = np.bincount(own).argmax()
        yield f"{len(own)} of {len(records)} requests got an error from the proxy itself, mostly {most}"
