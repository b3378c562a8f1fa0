"""Both twins draw arms and errors from the same seeds: the same arms, the same errors, the same rollback."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from loadtests import Stage
from scenarios import Records, Scenario, load_scenario
from simulator import simulate

TRIES = 4
STICKY = "proxy.route.0.sticky"


@pytest.fixture(scope="module", name="stage")
def _stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def shipped(name: str, **changes: object) -> Scenario:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return load_scenario(name, {"compare": {}, "duration": "3s", **dotted}).scenario


def canary_of(records: Records) -> np.ndarray:
    return np.isin(records.upstream, records.services["canary"])


def test_a_canary_is_rolled_back_at_the_same_request(stage: Stage) -> None:
    """A busy machine changes the order of requests, and so which of them are errors: then again."""
    scenario = shipped("canary-errors", **{"backend.canary.errors": 0.4})
    said = simulate(scenario).summary
    assert said.rollback_s is not None
    assert said.rollback_s < 2.0
    for left in reversed(range(TRIES)):
        seen = stage.measure(scenario).records.summary(scenario.window)
        assert seen.rollback_ratio == 1.0
        assert seen.rollback_s is not None
        close = abs(seen.rollback_s - said.rollback_s) < 0.25
        one, other = seen.services["canary"], said.services["canary"]
        if close and abs(one.answers - other.answers) <= 20:
            assert one.error_ratio == pytest.approx(other.error_ratio, abs=0.1)
            return
        assert left, f"{seen.rollback_s} s measured, {said.rollback_s} s predicted"


def test_a_user_has_the_same_arm_by_its_address(stage: Stage) -> None:
    scenario = shipped("canary-sticky", **{STICKY: "client", "duration": "2s"})
    homes = []
    for records in (stage.measure(scenario).records, simulate(scenario).records):
        is_canary = canary_of(records)
        homes.append(
            {user: set(is_canary[records.user == user].tolist()) for user in set(records.user.tolist())}
        )
    measured, predicted = homes
    common = measured.keys() & predicted.keys()
    assert len(common) > 50
    assert all(measured[user] == predicted[user] and len(measured[user]) == 1 for user in common)


@pytest.mark.parametrize("sticky", ["cookie:arm", "canary-cookie:arm"])
def test_the_loads_clients_keep_their_cookies(stage: Stage, sticky: str) -> None:
    scenario = shipped("canary-sticky", **{STICKY: sticky, "workload.think": "100ms"})
    records = stage.measure(scenario).records
    records = records.select(np.argsort(records.sent))
    is_canary = canary_of(records)
    for user in set(records.user.tolist()):
        arms = is_canary[records.user == user].tolist()
        if sticky == "cookie:arm":
            assert len(set(arms)) == 1
        else:
            assert arms == sorted(arms), "who was at the canary once stays there"
    assert is_canary.any()
    assert not is_canary.all()
