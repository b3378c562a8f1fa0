"""Call graphs in the model: exact laws without queues, held slots, and how failures and deadlines travel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scenarios import Scenario, Workload, load_scenario, parse_scenario
from scenarios.call_records import CallRecords
from simulator import Costs, Result, simulate

Z = 4.9
"""A correct model fails one z-test in a million."""
WIDE = {"concurrency": 10_000}


def graph(backends: dict[str, Any], **more: Any) -> Scenario:
    data = {
        "title": "theory",
        "seed": 5,
        "duration": "60s",
        "warmup": "0s",
        "workload": {"rate": "50/s", "objects": 10},
        "backend": backends,
        "proxy": {
            "route": [{"to": "front", **more.pop("route", {})}],
            "service": {"front": {"upstreams": "front"}},
            "limits": {"answer_timeout": "1d"},
        },
    }
    return parse_scenario(data | more).scenario


def free(scenario: Scenario) -> Result:
    """Simulated with proxies and a network that cost nothing."""
    return simulate(scenario, costs=Costs.zero())


def calls_of(result: Result) -> CallRecords:
    assert result.records.calls is not None
    return result.records.calls


def assert_mean(times: np.ndarray, expected: float) -> None:
    """A z-test; without queues, requests are independent."""
    assert abs(times.mean() - expected) < Z * times.std() / math.sqrt(len(times))


def test_without_queues_a_tree_takes_the_sum_of_its_means() -> None:
    result = free(
        graph(
            {
                "front": {**WIDE, "service_time": "exponential(10ms)", "calls": [{"to": "a"}, {"to": "b"}]},
                "a": {**WIDE, "service_time": "exponential(20ms)", "calls": [{"to": "b", "times": 2}]},
                "b": {**WIDE, "service_time": "exponential(5ms)"},
            }
        )
    )
    assert_mean(result.records.response, 0.010 + (0.020 + 2 * 0.005) + 0.005)


@pytest.mark.parametrize("calls", [2, 10])
def test_without_queues_parallel_exponential_calls_take_the_harmonic_number(calls: int) -> None:
    """The largest of n exponential times has the mean H_n."""
    front = {**WIDE, "service_time": "0s", "calls": [{"to": "a", "times": calls, "parallel": True}]}
    result = free(graph({"front": front, "a": {**WIDE, "service_time": "exponential(20ms)"}}))
    assert_mean(result.records.response, 0.020 * sum(1 / n for n in range(1, calls + 1)))


def test_a_share_of_the_calls_is_made() -> None:
    front = {**WIDE, "service_time": "10ms", "calls": [{"to": "a", "share": 0.25}]}
    result = free(graph({"front": front, "a": {**WIDE, "service_time": "40ms"}}))
    assert {round(ms) for ms in (result.records.response * 1e3).tolist()} == {10, 50}
    made, of = len(calls_of(result)), len(result.records)
    assert abs(made - 0.25 * of) < Z * math.sqrt(of * 0.25 * 0.75)


def test_a_request_takes_exactly_its_own_work_and_that_of_its_calls() -> None:
    """Not only on average: the twins give the same work to the same call."""
    front = {**WIDE, "service_time": "exponential(10ms)", "calls": [{"to": "a", "times": 2}]}
    scenario = graph({"front": front, "a": {**WIDE, "service_time": "exponential(20ms)"}})
    result = free(scenario)
    for row, request in zip(np.argsort(result.records.seq), Workload(scenario).stream(0), strict=False):
        calls = [call for step in request.calls[0] for call in step]
        expected = request.demand[0] + sum(call.demand for call in calls)
        assert result.records.response[row] == pytest.approx(expected)


def test_a_caller_holds_its_slot_while_it_waits() -> None:
    """One slot and a constant 10 + 40 ms: M/D/1 with 50 ms, though the own work is only 10 ms."""
    front = {"concurrency": 1, "service_time": "10ms", "calls": [{"to": "a"}]}
    scenario = graph({"front": front, "a": {**WIDE, "service_time": "40ms"}}, duration="2000s")
    scenario = scenario.model_copy(update={"workload": scenario.workload.model_copy(update={"rate": 10.0})})
    load, service = 0.5, 0.05
    assert free(scenario).summary.mean_ms == pytest.approx(
        1e3 * service * (1 + load / (2 * (1 - load))), rel=0.03
    )


def test_a_waiting_request_takes_no_part_in_processor_sharing() -> None:
    """Two processors would be shared by hundreds of requests, if those that wait counted."""
    front = {"concurrency": 2, "discipline": "ps", "service_time": "1ms", "calls": [{"to": "a"}]}
    result = free(graph({"front": front, "a": {**WIDE, "service_time": "1s"}}, duration="10s"))
    assert np.median(result.records.response) == pytest.approx(1.001)


def test_records_know_service_and_depth() -> None:
    backends = {
        "front": {**WIDE, "calls": [{"to": "a"}, {"to": "b"}]},
        "a": {**WIDE, "calls": [{"to": "b", "times": 2}]},
        "b": {**WIDE},
    }
    result = free(graph(backends, duration="5s"))
    figures = result.summary.calls
    assert list(figures) == ["a@1", "b@1", "b@2"]
    assert np.unique(calls_of(result).depth, return_counts=True)[1].tolist() == [
        2 * len(result.records),
        2 * len(result.records),
    ]
    assert all(of.error_ratio == 0 for of in figures.values())


DEAD = {"concurrency": 100, "service_time": "5ms", "fail": {0: "0s..60s"}}
FRONT = {**WIDE, "service_time": "5ms", "calls": [{"to": "a"}, {"to": "b"}]}


def test_the_error_of_a_dead_callee_travels_and_ends_the_calls() -> None:
    result = free(graph({"front": FRONT, "a": DEAD, "b": WIDE}, duration="5s"))
    assert set(result.records.status.tolist()) == {502}
    assert list(result.summary.calls) == ["a@1"], "b is not asked any more"
    assert set(calls_of(result).status.tolist()) == {502}


def test_a_call_is_tried_at_another_replica() -> None:
    one_dead = {**DEAD, "replicas": 2}
    backends = {"front": FRONT, "a": one_dead, "b": WIDE}
    without = free(graph(backends, duration="20s"))
    failed = without.summary.error_ratio
    assert abs(failed - 0.5) < 0.01, "round robin sends every other call to the dead one"
    retried = graph(backends, duration="20s", sidecar={"service": {"a": {"retry": {"attempts": 2}}}})
    assert free(retried).summary.error_ratio == 0


def test_a_health_check_reaches_the_replica_behind_its_sidecar() -> None:
    """The sidecar itself always answers; its 502 takes the dead replica out of the callers' balancers."""
    backends = {"front": FRONT, "a": {**DEAD, "replicas": 2}, "b": WIDE}
    health = {"service": {"a": {"health": {"every": "100ms", "fall": 3}}}}
    result = free(graph(backends, duration="5s", sidecar=health))
    rows = result.records
    assert set(rows.status[rows.sent < 0.2].tolist()) == {200, 502}
    assert set(rows.status[rows.sent > 0.31].tolist()) == {200}


def test_a_replica_that_goes_down_while_it_waits_for_its_calls_loses_the_request() -> None:
    front = {**WIDE, "service_time": "1ms", "calls": [{"to": "a"}], "fail": {0: "2s..3s"}}
    result = free(graph({"front": front, "a": {**WIDE, "service_time": "500ms"}}, duration="6s"))
    rows = result.records
    lost = (rows.sent < 2.0) & (rows.sent > 1.52)
    assert lost.any() and set(rows.status[lost].tolist()) == {502}
    assert rows.done[lost] == pytest.approx(2.0)
    assert set(rows.status[rows.sent > 3.0].tolist()) == {200}


def test_errors_of_a_callee_are_502_of_the_caller() -> None:
    backends = {"front": FRONT, "a": {**WIDE, "errors": 0.5}, "b": WIDE}
    result = free(graph(backends, duration="20s"))
    assert set(result.records.status.tolist()) == {200, 502}
    assert result.summary.calls["a@1"].error_ratio == pytest.approx(result.summary.error_ratio, abs=0.01)
    assert set(calls_of(result).status.tolist()) == {200, 500}


def test_a_deadline_passes_through_the_whole_tree() -> None:
    """100 ms in all: 60 at the front, and 60 at its callee would be too late, so the client gets 504."""
    backends = {
        "front": {**WIDE, "service_time": "60ms", "calls": [{"to": "a"}, {"to": "b"}]},
        "a": {**WIDE, "service_time": "60ms"},
        "b": WIDE,
    }
    result = free(graph(backends, duration="5s", route={"timeout": "100ms"}))
    assert set(result.records.status.tolist()) == {504}
    assert result.records.response == pytest.approx(0.1)
    assert list(result.summary.calls) == ["a@1"], "nobody asks b when the time is over"
    assert (calls_of(result).end - calls_of(result).begin) == pytest.approx(0.04)
    assert set(calls_of(result).status.tolist()) == {504}


def test_a_sidecar_may_limit_the_time_of_its_own_replica() -> None:
    front = {**WIDE, "service_time": "1ms", "calls": [{"to": "a"}]}
    sidecar = {"route": [{"to": "inbound", "timeout": "30ms"}]}
    scenario = graph({"front": front, "a": {**WIDE, "service_time": "50ms"}}, duration="5s", sidecar=sidecar)
    result = free(scenario)
    assert set(result.records.status.tolist()) == {504}, "the front has 30 ms, too, 1 of which is its own"
    assert (calls_of(result).end - calls_of(result).begin) == pytest.approx(0.029)


def test_sidecars_cost_what_proxies_cost() -> None:
    """Every request passes the door and a sidecar; every call passes two."""
    front = {**WIDE, "service_time": "10ms", "calls": [{"to": "a"}]}
    scenario = graph({"front": front, "a": {**WIDE, "service_time": "10ms"}}, duration="60s")
    scenario = scenario.model_copy(update={"workload": scenario.workload.model_copy(update={"rate": 1.0})})
    costs = Costs(0.0, 1e-3, 0.0, 2e-3, 0.0)
    assert simulate(scenario, costs=costs).summary.p50_ms == pytest.approx(20 + 2 * 3 + 2 * 3 + 2)


@pytest.mark.parametrize("limit", [2, 50])
def test_the_limits_of_sidecars_are_obeyed(limit: int) -> None:
    """A queue at the callee's own sidecar refuses what its two slots cannot take at once."""
    front = {**WIDE, "service_time": "1ms", "calls": [{"to": "a", "times": 10, "parallel": True}]}
    inbound = {"inbound": {"queue": {"in_flight": limit}}}
    scenario = graph(
        {"front": front, "a": {**WIDE, "service_time": "10ms"}}, duration="5s", sidecar={"service": inbound}
    )
    scenario = scenario.model_copy(update={"workload": scenario.workload.model_copy(update={"rate": 2.0})})
    assert free(scenario).summary.calls["a@1"].error_ratio == pytest.approx(
        0.8 if limit == 2 else 0.0, abs=0.2
    )


def test_requests_that_hold_all_threads_of_a_sidecar_leave_none_for_their_calls() -> None:
    """Two threads, two requests inside: their calls wait for a thread until a time limit ends something."""
    front = {**WIDE, "service_time": "1ms", "calls": [{"to": "a"}]}
    backends = {"front": front, "a": {**WIDE, "service_time": "50ms"}}
    limits = {"limits": {"threads": 2, "answer_timeout": "500ms"}}
    stuck = free(graph(backends, duration="5s", sidecar=limits))
    assert len(stuck.records) > 200 and stuck.summary.error_ratio > 0.8, "all are answered, most with errors"
    room = {"limits": {"threads": 2}, "service": {"inbound": {"queue": {"in_flight": 1}}}}
    kept = free(graph(backends, duration="5s", sidecar=room)).records
    served = np.count_nonzero(kept.status == 200) / 5
    assert set(kept.status.tolist()) == {200, 503}
    assert served > 10, "one after the other, 51 ms each, and lost ones between them"


# -- the shipped shop: its headline ---------------------------------------------------------------


def an_article_takes_at_most(seconds: np.ndarray) -> np.ndarray:
    """Distribution of an article's time: 20 ms of the catalogue, and four times of ten 40 ms of the store."""
    alone = 1 - np.exp(-seconds / 0.02)
    with_store = 1 - (0.04 * np.exp(-seconds / 0.04) - 0.02 * np.exp(-seconds / 0.02)) / 0.02
    return 0.6 * alone + 0.4 * with_store


def test_goods_at_once_take_as_long_as_the_slowest_of_them() -> None:
    """Without queues: the sum of all means one after the other; at once, the mean of the largest of three."""
    wide = {f"backend.{name}.concurrency": 10_000 for name in ("front", "cart", "catalogue", "store")}
    loaded = load_scenario("shop", {"duration": "120s", "warmup": "0s", **wide})
    in_a_row, at_once = (free(variant.scenario).records.response for variant in loaded.variants)
    grid = np.linspace(0.0, 2.0, 200_001)
    slowest = float(np.trapezoid(1 - an_article_takes_at_most(grid) ** 3, grid))
    assert_mean(in_a_row, 0.015 + 0.020 + 3 * (0.020 + 0.4 * 0.040))
    assert_mean(at_once, 0.015 + 0.020 + slowest)
    assert at_once.mean() < 0.75 * in_a_row.mean()


def test_the_shop_as_shipped_has_hardly_any_queue() -> None:
    loaded = load_scenario("shop", {"duration": "60s", "warmup": "5s"})
    in_a_row, _ = (free(variant.scenario).summary.mean_ms for variant in loaded.variants)
    assert in_a_row == pytest.approx(143, rel=0.1)


def test_a_graph_is_simulated_the_same_twice() -> None:
    loaded: Callable[[], Scenario] = lambda: load_scenario("shop", {"duration": "5s"}).scenario  # noqa: E731
    one, other = free(loaded()), free(loaded())
    assert one.records.response.tolist() == other.records.response.tolist()
    assert calls_of(one).end.tolist() == calls_of(other).end.tolist()
