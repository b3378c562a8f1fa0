"""Simulate a scenario: its replications, spread over processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policies import admission_policies, balancing_policies, eviction_policies
from policies.registry import Registry
from scenarios.schema import Scenario
from simulator.costs import Costs
from simulator.replication import simulate_once
from simulator.result import Result, Run
from simulator.spreading import spread

REGISTRIES: tuple[Registry[Any], ...] = (admission_policies, balancing_policies, eviction_policies)


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


def _run_with(added: tuple[dict[str, type], ...], scenario: Scenario, costs: Costs, luck: int) -> Run:
    """`simulate_once` in a process that may not know a notebook's own policies yet."""
    for registry, classes in zip(REGISTRIES, added, strict=True):
        for name, policy in classes.items():
            registry.register(name)(policy)
    return simulate_once(scenario, costs, luck)
