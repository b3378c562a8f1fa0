"""Backends that share their processors, are slow or down for a while, and loads that are known late."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from policies.bad_input import BadInput
from policies.balancing import balancing_policies
from scenarios import Records, Scenario, Workload, parse_scenario
from simulator import Costs, simulate

Bare = Callable[..., Scenario]
Z = 4.9


def in_order(records: Records) -> Records:
    return records.select(np.argsort(records.seq, kind="stable"))


def drawn(scenario: Scenario, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    requests = list(islice(Workload(scenario).stream(0), count))
    return np.cumsum([r.pause for r in requests]), np.array([r.demand[0] for r in requests])


def shared(arrivals: NDArray[np.float64], work: NDArray[np.float64], processors: int) -> NDArray[np.float64]:
    """Departures from shared processors: every request's rest, step by step from event to event."""
    rest: dict[int, float] = {}
    departures = np.zeros(len(arrivals))
    now, coming = 0.0, 0
    while coming < len(arrivals) or rest:
        rate = min(1.0, processors / len(rest)) if rest else 0.0
        next_end = now + min(rest.values()) / rate if rest else np.inf
        next_arrival = arrivals[coming] if coming < len(arrivals) else np.inf
        then = min(next_end, next_arrival)
        if rest:
            ending = min(rest, key=rest.__getitem__)
            rest = {number: left - (then - now) * rate for number, left in rest.items()}
            if next_end <= next_arrival:
                departures[ending] = then
                del rest[ending]
        now = then
        if next_arrival < next_end:
            rest[coming] = work[coming]
            coming += 1
    return departures


@pytest.mark.parametrize("processors", [1, 3])
@pytest.mark.parametrize("service_time", ["exponential(10ms)", "uniform(1ms, 19ms)", "pareto(10ms, 2.1)"])
def test_shared_processors_follow_every_requests_rest(
    bare_scenario: Bare, service_time: str, processors: int
) -> None:
    backend = {"discipline": "ps", "concurrency": processors, "service_time": service_time}
    scenario = bare_scenario({"rate": f"{90 * processors}/s"}, backend, duration="20s")
    records = in_order(simulate(scenario, costs=Costs.zero()).records)
    arrivals, work = drawn(scenario, len(records))
    assert len(records) > 1_500
    assert np.abs(records.done - shared(arrivals, work, processors)).max() < 1e-9


@pytest.mark.parametrize("service_time", ["10ms", "hyperexponential(10ms, 9)"])
def test_processor_sharing_is_insensitive_to_the_distribution(bare_scenario: Bare, service_time: str) -> None:
    """M/G/1-PS: T = S / (1 - ρ), whatever the distribution (false alarm: one in a million)."""
    scenario = bare_scenario(
        {"rate": "70/s"},
        {"discipline": "ps", "service_time": service_time},
        duration="50s",
        warmup="10s",
    )
    means = np.array([run.summary.mean_ms for run in simulate(scenario, 12, costs=Costs.zero()).runs])
    z = (means.mean() - 10 / 0.3) / (means.std(ddof=1) / sqrt(len(means)))
    assert abs(z) < Z


def test_equal_requests_that_come_together_leave_together(bare_scenario: Bare) -> None:
    scenario = bare_scenario(
        {"users": 4, "think": "1ms"}, {"discipline": "ps", "service_time": "25ms"}, duration="50ms"
    )
    done = simulate(scenario, costs=Costs.zero()).records.done
    assert done[:4].max() - done[:4].min() < 4e-3


def test_a_failed_replica_breaks_what_it_works_on_and_refuses_until_it_is_back(
    bare_scenario: Bare,
) -> None:
    scenario = bare_scenario(
        {"rate": "100/s"},
        {"replicas": 2, "service_time": "15ms", "fail": {"1": "4s..7s"}},
        duration="10s",
        failover=False,
    )
    records = in_order(simulate(scenario, costs=Costs.zero()).records)
    failed = records.select(records.status == 502)
    assert set(records.status.tolist()) == {200, 502}
    assert (failed.upstream == -1).all()
    assert (failed.done >= 4.0).all()
    assert (failed.sent < 7.0).all()
    down = records.select((records.sent >= 4.0) & (records.sent < 7.0))
    assert np.array_equal(down.status == 502, down.seq % 2 == 1), "round robin goes on picking it"
    assert (down.response[down.status == 502] == 0).all()
    caught = records.select((records.seq % 2 == 1) & (records.sent < 4.0) & (records.status == 502))
    assert len(caught) >= 1
    assert (caught.done == 4.0).all()
    assert (records.status[records.sent >= 7.0] == 200).all()


@pytest.mark.parametrize("discipline", ["fifo", "ps"])
def test_a_replica_comes_back_empty(bare_scenario: Bare, discipline: str) -> None:
    backend = {"service_time": "100ms", "fail": {"0": "2s..3s"}, "discipline": discipline}
    result = simulate(bare_scenario({"rate": "50/s"}, backend, duration="4s"), costs=Costs.zero())
    records, inside = result.records, result.queues["web/0"]
    first_back = records.select((records.sent >= 3.0) & (records.status == 200))
    assert inside.values[np.searchsorted(inside.times, 2.5) - 1] == 0
    assert inside.values.min() == 0
    assert inside.values[-1] == 0
    if discipline == "fifo":
        assert first_back.response.min() == pytest.approx(0.1)


def test_a_replica_is_slow_during_its_spell_only(bare_scenario: Bare) -> None:
    scenario = bare_scenario(
        {"rate": "5/s"},
        {"service_time": "10ms", "concurrency": 50, "slow": {"0": 8.0}, "slow_during": {"0": "3s..6s"}},
        duration="10s",
    )
    records = simulate(scenario, costs=Costs.zero()).records
    during = (records.sent >= 3.0) & (records.sent < 6.0)
    assert records.response[during] == pytest.approx(0.08)
    assert records.response[~during] == pytest.approx(0.01)


@pytest.mark.parametrize("balance", balancing_policies.names())
def test_every_balancer_can_decide_by_loads_it_learnt_some_time_ago(
    bare_scenario: Bare, balance: str
) -> None:
    scenario = bare_scenario({"rate": "250/s"}, {"replicas": 12}, balance=balance, duration="4s")
    service = scenario.proxy.service["web"].model_copy(update={"load_snapshot": 0.2})
    proxy = scenario.proxy.model_copy(update={"service": {"web": service}})
    records = simulate(scenario.model_copy(update={"proxy": proxy}), costs=Costs.zero()).records
    assert len(records) > 800
    assert (records.status == 200).all()


def test_old_information_turns_least_requests_into_a_herd(bare_scenario: Bare) -> None:
    """Mitzenmacher 2000: with old loads, all go to one server; two choices suffer less."""
    means = {}
    for balance, snapshot in [("least_requests", 0.0), ("least_requests", 0.3), ("p2c", 0.3)]:
        scenario = bare_scenario({"rate": "640/s"}, {"replicas": 8}, balance=balance, duration="30s")
        service = scenario.proxy.service["web"].model_copy(update={"load_snapshot": snapshot})
        proxy = scenario.proxy.model_copy(update={"service": {"web": service}})
        result = simulate(scenario.model_copy(update={"proxy": proxy}), costs=Costs.zero())
        means[balance, snapshot] = result.summary.mean_ms
    assert means["least_requests", 0.3] > 3 * means["least_requests", 0.0]
    assert means["p2c", 0.3] < means["least_requests", 0.3]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("fail", {"2": "1s..2s"}, "fail.2: there is no such replica; expected 0 to 1"),
        ("fail", {"1": "2s..1s"}, "expected a time that begins before it ends"),
        ("fail", {"1": "2s"}, "expected a time from and to such as '10s..20s', not '2s'"),
        ("slow_during", {"1": "1s..2s"}, "slow_during.1: expected slow.1 to say how slow"),
    ],
)
def test_a_wrong_spell_is_told_in_one_line(key: str, value: dict[str, str], said: str) -> None:
    data = {
        "title": "spells",
        "workload": {"users": 1},
        "backend": {"web": {"replicas": 2, key: value}},
        "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
    }
    with pytest.raises(BadInput, match=r"^scenario: backend\.web") as found:
        parse_scenario(data)
    assert said in str(found.value)
