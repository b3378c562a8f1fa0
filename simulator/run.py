"""Run a scenario's model, once or many times, and sum up what came out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy import Environment

from policies import admission_policies, balancing_policies, eviction_policies
from policies.registry import Registry
from scenarios.records import Records, Summary
from scenarios.schema import Scenario
from scenarios.workload import Workload
from simulator.chain import Chain
from simulator.clients import Clients
from simulator.costs import Costs
from simulator.faults import check_faults
from simulator.service import AnswerTooLate
from simulator.spreading import spread
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

REGISTRIES: tuple[Registry[Any], ...] = (admission_policies, balancing_policies, eviction_policies)


@dataclass(frozen=True)
class Series:
    """How many requests were in a place: `values[i]` from `times[i]` seconds on."""

    times: NDArray[np.float64]
    values: NDArray[np.int64]

    @classmethod
    def from_steps(cls, steps: array[float]) -> Series:
        """From what the model wrote, see `simulator.slots.StepSeries`."""
        signed = np.array(steps)
        change = np.where(np.signbit(signed), -1, 1)
        return cls(np.concatenate(([0.0], np.abs(signed))), np.concatenate(([0], np.cumsum(change))))

    def mean(self, window: tuple[float, float]) -> float:
        """Average over time, within `window` (seconds)."""
        inside = (self.times > window[0]) & (self.times < window[1])
        first = self.values[np.searchsorted(self.times, window[0], side="right") - 1]
        values = np.concatenate(([first], self.values[inside]))
        edges = np.concatenate(([window[0]], self.times[inside], [window[1]]))
        return float(np.dot(values, np.diff(edges)) / (window[1] - window[0]))

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """The number at each of `times`, in seconds from 0 on."""
        return self.values[np.searchsorted(self.times, times, side="right") - 1].astype(np.float64)


class Queues(Mapping[str, Series]):
    """A `Series` of each place by name, made when it is asked for: most are never looked at."""

    def __init__(self, steps: dict[str, array[float]]) -> None:
        self._steps = steps

    def __getitem__(self, name: str) -> Series:
        return Series.from_steps(self._steps[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


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
    """

    records: Records
    summary: Summary
    queues: Mapping[str, Series]


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

        The first proxy holds all requests, but a queue at one server of many is hard to tell there
        from the others' ups and downs, so each server is looked at, too.
        """
        begin, end = self.scenario.window
        edges = np.linspace(begin, end, PIECES + 1)

        def judged(name: str, place: str, limit: float) -> Settled:
            return settled([run.queues[name].at(edges) for run in self.runs], end - begin, place, limit)

        whole = judged(self.scenario.proxies[0], "the proxy's queue", DRIFT_Z)
        if not whole:
            return whole
        parts = (judged(name, f"the queue at {name}", SURE_Z) for name in self.scenario.replicas)
        return next((part for part in parts if not part), whole)

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


def simulate(
    scenario: Scenario,
    replications: int = 1,
    *,
    costs: Costs | None = None,
    lucks: int = 1,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Predict what a scenario does.

    Parameters
    ----------
    scenario : Scenario
        One variant.
    replications : int
        Runs with the seeds ``seed``, ``seed + 1``, …: other requests each time.
    costs : Costs, optional
        What calibration measured; typical values by default.
    lucks : int
        Runs per seed: the same requests and the same chances of the balancers, other link times.
    jobs : int
        Processes to spread the runs over; -1 for one per core.
    progress : callable, optional
        Called with ``(runs done, runs in all)``.

    Returns
    -------
    Result
        The same seeds give the same records, bit for bit, however many jobs there are.
    """
    costs = costs or Costs()
    runs: list[Run] = []
    seeded = [(scenario.model_copy(update={"seed": scenario.seed + i}), luck)
              for i in range(replications) for luck in range(lucks)]  # fmt: skip
    added = tuple(registry.added() for registry in REGISTRIES)
    for run in spread(_run_with, ((added, one, costs, luck) for one, luck in seeded), jobs):
        runs.append(run)
        if progress is not None:
            progress(len(runs), len(seeded))
    return Result(scenario, runs)


def simulate_once(scenario: Scenario, costs: Costs, luck: int = 0) -> Run:
    """One replication; `luck` draws other link times, and nothing else.

    A limit on answers that none of them comes near changes nothing, so nobody watches for it at first;
    if one was needed after all, everything is drawn again from the same seed, and watched.
    """
    check_faults(scenario)
    try:
        return _replication(scenario, costs, luck, watched=False)
    except AnswerTooLate:
        return _replication(scenario, costs, luck, watched=True)


def _replication(scenario: Scenario, costs: Costs, luck: int, *, watched: bool) -> Run:
    env = Environment()
    chain = Chain(env, scenario, costs, luck, watched)
    workload = Workload(scenario)
    clients = Clients(env, workload, chain, scenario.duration)
    clients.start()
    env.run()
    records = clients.ledger.records(
        scenario.replicas,
        closed=workload.closed,
        caching=scenario.caching,
        proxies=len(scenario.chain),
        fanout=workload.fanout,
    )
    if chain.fetches is not None:
        records = replace(records, fetches=chain.fetches.fetches())
    steps = {name: inside.steps for name, inside in chain.inside.items()}
    return Run(records, records.summary(scenario.window), Queues(steps))


def _run_with(added: tuple[dict[str, type], ...], scenario: Scenario, costs: Costs, luck: int) -> Run:
    """`simulate_once` in a process that may not know a notebook's own policies yet."""
    for registry, classes in zip(REGISTRIES, added, strict=True):
        for name, policy in classes.items():
            registry.register(name)(policy)
    return simulate_once(scenario, costs, luck)
