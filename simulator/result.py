"""What a simulation returns: its replications, their averages, and whether the averages mean anything."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policies.units import format_size
from scenarios.records import Records, Summary
from scenarios.schema import Scenario
from simulator.series import Series
from simulator.statistics import (
    PairedDifference,
    Settled,
    Warmup,
    estimate,
    mean_summary,
    mser5_of_records,
    paired_difference,
    settled,
)
from simulator.statistics.settling import DRIFT_Z, PIECES, SURE_Z
from simulator.store import TurnedOut


@dataclass(frozen=True)
class Run:
    """One replication.

    Attributes
    ----------
    records : Records
        One row per request, in the order in which the answers came.
    summary : Summary
        Of the scenario's window.
    queues : mapping of str to Series
        Requests waiting or in service, for ``proxy``, or ``proxy.0`` and so on, and for each replica
        such as ``web/0``.
    turned_out : mapping of str to TurnedOut
        By the name of a proxy that caches: what it did not keep because there were too many objects, or
        because it was too large.
    """

    records: Records
    summary: Summary
    queues: Mapping[str, Series]
    turned_out: Mapping[str, TurnedOut] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a simulation yields.

    Attributes
    ----------
    scenario : Scenario
    runs : list of Run
        One per replication.
    """

    scenario: Scenario
    runs: list[Run]

    @property
    def records(self) -> Records:
        """The first replication's rows."""
        return self.runs[0].records

    @property
    def queues(self) -> Mapping[str, Series]:
        """The first replication's queues."""
        return self.runs[0].queues

    @property
    def summary(self) -> Summary:
        """The replications' figures, averaged."""
        return mean_summary([run.summary for run in self.runs])

    def interval(self, metric: str) -> tuple[float, float]:
        """A 95 % confidence interval of the mean of a summary figure over the replications.

        Raises
        ------
        ValueError
            With fewer than two replications.
        """
        return estimate(self.values(metric)).interval

    def values(self, metric: str) -> NDArray[np.float64]:
        """A summary figure of every replication."""
        return np.array([getattr(run.summary, metric) for run in self.runs], dtype=np.float64)

    @property
    def settled(self) -> Settled:
        """Whether the averages mean anything; false, with a reason, under an overload.

        The doors hold all requests, but a queue at one server of many is hard to tell there
        from the others' ups and downs, so each server is looked at, too.
        """
        begin, end = self.scenario.window
        edges = np.linspace(begin, end, PIECES + 1)

        def judged(name: str, place: str, limit: float) -> Settled:
            return settled([run.queues[name].at(edges) for run in self.runs], end - begin, place, limit)

        doors = self.scenario.topology.doors
        whole = [judged(self.scenario.proxies[door], "the proxy's queue", DRIFT_Z) for door in doors]
        parts = (judged(name, f"the queue at {name}", SURE_Z) for name in self.scenario.replicas)
        return next((part for part in itertools.chain(whole, parts) if not part), whole[0])

    @property
    def cache_notes(self) -> list[str]:
        """What the caches did not keep for another reason than their policy, a line each."""
        notes = []
        for name, proxy in zip(self.scenario.proxies, self.scenario.chain, strict=True):
            found = sum((run.turned_out[name] for run in self.runs if name in run.turned_out), TurnedOut())
            cache = proxy.worker_cache
            if found.crowded_out:
                notes.append(
                    f"{name}: {found.crowded_out:,} objects were evicted because the cache held as many as "
                    f"it may (cache.objects = {proxy.cache.objects:,}), though their bytes fitted"
                )
            if found.too_large:
                notes.append(
                    f"{name}: {found.too_large:,} responses were not stored because they are larger than the "
                    f"cache ({format_size(cache.capacity)}{' of each worker' if proxy.workers > 1 else ''})"
                )
        return notes

    @property
    def warmup(self) -> Warmup:
        """Where the first replication's warm-up ends, by MSER-5; see `simulator.statistics.mser5`."""
        return mser5_of_records(self.records)


def compare_paired(a: Result, b: Result, metric: str) -> PairedDifference:
    """How much larger a summary figure is in `a` than in `b`, under common random numbers.

    Parameters
    ----------
    a, b : Result
        Of as many replications, with the same seeds.
    metric : str
        Such as ``p99_ms``.

    Raises
    ------
    ValueError
        If the seeds differ, or there are fewer than two replications.
    """
    if a.scenario.seed != b.scenario.seed:
        raise ValueError(f"expected the same seed on both sides, not {a.scenario.seed} and {b.scenario.seed}")
    return paired_difference(a.values(metric), b.values(metric))
