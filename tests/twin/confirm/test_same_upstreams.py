"""Each client has a separate address; balancers that hash addresses decide alike in both twins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lessons.balancing.affinity import homes, share_moved
from loadtests import Stage
from scenarios import Scenario, load_scenario
from simulator import simulate

SHORT = {"workload.users": 60, "workload.think": "100ms", "duration": "0.5s", "warmup": "0s"}
BALANCE = "proxy.service.web.balance"
OPEN = {"rate": 150.0, "clients": 8, "objects": 100}


@pytest.fixture(scope="module", name="stage")
def _stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def shipped(changes: dict[str, object]) -> Scenario:
    return load_scenario("one-more-server", {**SHORT, "compare": {}, **changes}).scenario


@pytest.mark.parametrize("balance", ["source_hash", "rendezvous_hash", "ring_hash", "maglev"])
def test_a_user_has_the_same_upstream_in_both_twins(stage: Stage, balance: str) -> None:
    scenario = shipped({BALANCE: balance})
    measured, predicted = stage.measure(scenario).records, simulate(scenario).records
    assert len(homes(predicted)) > 50
    assert len(set(homes(predicted).values())) > 5
    assert homes(measured) == homes(predicted)
    assert share_moved(predicted, measured) == 0.0


def test_so_has_each_client_of_open_load(stage: Stage) -> None:
    scenario = shipped({"workload": OPEN, BALANCE: "rendezvous_hash"})
    measured, predicted = (
        records.select(np.argsort(records.seq))
        for records in (stage.measure(scenario).records, simulate(scenario).records)
    )
    assert len(set(predicted.upstream.tolist())) > 3
    assert np.array_equal(measured.upstream, predicted.upstream)


def test_without_a_common_user_nothing_can_be_said_of_moves() -> None:
    records = simulate(shipped({})).records
    with pytest.raises(ValueError, match="in both runs"):
        share_moved(records, records.select(np.zeros(len(records), dtype=bool)))
