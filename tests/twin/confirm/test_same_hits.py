"""One client, both twins: the same requests, and the same hit or miss request by request."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests import Stage
from policies import eviction_policies
from scenarios import Records, Scenario, load_scenario
from simulator import simulate

ONE_CLIENT = {
    "workload.users": 1,
    "workload.think": "1ms",
    "workload.objects": 60,
    "workload.size": "lognormal(4KiB, 1.0)",
    "backend.origin.service_time": "0s",
    "proxy.cache.capacity": "48KiB",
    "duration": "0.5s",
    "compare": {"proxy.cache.policy": eviction_policies.names()},
}


@pytest.fixture(scope="module", name="stage")
def _stage():
    with Stage() as stage:
        yield stage


def long_enough(stage: Stage, scenario: Scenario) -> Records:
    """A run of more than a hundred requests; on a busy machine it may take several to get one."""
    for _ in range(8):
        records = stage.measure(scenario).records
        if len(records) > 100:
            break
    return in_order(records)


@pytest.mark.parametrize("policy", eviction_policies.names())
def test_both_twins_hit_and_miss_alike(stage: Stage, policy: str) -> None:
    scenario = load_scenario("small-cache", {**ONE_CLIENT, "proxy.cache.policy": policy}).scenario
    predicted, measured = in_order(simulate(scenario).records), long_enough(stage, scenario)
    for run in (predicted, measured):
        assert run.fetches is not None
        assert run.fetches.object.tolist() == run.object[~run.hit].tolist(), "each miss is a fetch"
    shared = min(len(predicted), len(measured))
    assert shared > 100
    assert np.array_equal(predicted.object[:shared], measured.object[:shared])
    assert np.array_equal(predicted.size[:shared], measured.size[:shared])
    assert 0.2 < measured.hit.mean() < 0.98
    assert np.array_equal(predicted.hit[:shared], measured.hit[:shared])


def in_order(records: Records) -> Records:
    return records.select(np.argsort(records.seq, kind="stable"))
