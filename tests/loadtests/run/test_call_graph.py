"""Call graphs on real sockets: every call goes through two sidecars, and failures and deadlines travel."""

from collections.abc import Callable
from typing import Any

import psutil
import pytest

from loadtests import Measurement, Stage
from scenarios import Scenario, Workload, parse_scenario
from scenarios.call_tree import count

CALLS = [{"to": "cart"}, {"to": "goods", "times": 2, "parallel": True, "share": 0.5}]


def graph(**more: Any) -> Scenario:
    backends = {
        "front": {"concurrency": 8, "service_time": "2ms", "calls": CALLS},
        "cart": {"concurrency": 8, "service_time": "2ms"},
        "goods": {"concurrency": 8, "service_time": "2ms", "calls": [{"to": "cart"}]},
    }
    for key, value in more.pop("backend", {}).items():
        backends[key] |= value
    tables = {
        "title": "Who asks whom?",
        "seed": 3,
        "duration": "1.5s",
        "workload": {"rate": "20/s", "objects": 10},
        "backend": backends,
        "proxy": {"route": [{"to": "shop"}], "service": {"shop": {"upstreams": "front"}}},
    }
    return parse_scenario(tables | more).scenario


def test_every_planned_call_is_made_once(
    stage: Stage,
    by_rule: Callable[[Measurement], list[str]],
    children: Callable[[], dict[psutil.Process, str]],
) -> None:
    scenario = graph()
    run = stage.measure(scenario)
    assert by_rule(run) == []
    requests = Workload(scenario).stream(0)
    planned = sum(count(next(requests).calls[0]) for _ in range(len(run.records)))
    calls = run.records.calls
    assert calls is not None and len(calls) == planned > len(run.records)
    assert set(calls.status.tolist()) == {200}
    assert set(zip(calls.depth.tolist(), calls.service.tolist(), strict=True)) == {(1, 1), (1, 2), (2, 1)}
    worked = {name: done["requests"] for name, done in run.backends["replicas"].items()}
    assert sum(worked.values()) == planned + len(run.records)
    assert run.sidecar_cpu_seconds > 0
    assert not any("proxy_child" in command for command in children().values()), "no sidecar is left"


def test_a_dead_replica_of_a_callee_costs_nobody_an_answer(stage: Stage) -> None:
    """The dead replica's own sidecar answers 502, and the caller's sidecar asks the other replica."""
    cart = {"replicas": 2, "fail": {0: "0s..10s"}}
    sidecar = {"service": {"cart": {"retry": {"attempts": 2}}}}
    run = stage.measure(graph(backend={"cart": cart}, sidecar=sidecar))
    assert set(run.records.status.tolist()) == {200}
    assert run.backends["replicas"]["cart/0"]["requests"] == 0
    assert run.records.calls is not None and set(run.records.calls.status.tolist()) == {200}


def test_a_dead_callee_is_an_error_of_everybody_above_it(stage: Stage) -> None:
    run = stage.measure(graph(backend={"cart": {"fail": {0: "0s..10s"}}}))
    assert set(run.records.status.tolist()) == {502}
    assert {run.records.upstreams[place] for place in run.records.upstream} == {"front/0"}
    calls = run.records.calls
    assert calls is not None and set(calls.service.tolist()) == {1}, (
        "the call after the failed one is not made"
    )


def test_a_callee_that_is_too_slow_for_the_deadline_ends_at_the_deadline(stage: Stage) -> None:
    """The route's 80 ms reach the callee's caller two proxies further on."""
    proxy = {"route": [{"to": "shop", "timeout": "80ms"}], "service": {"shop": {"upstreams": "front"}}}
    run = stage.measure(graph(backend={"cart": {"service_time": "400ms"}}, proxy=proxy))
    assert set(run.records.status.tolist()) == {504}
    calls = run.records.calls
    assert calls is not None and set(calls.status.tolist()) == {504}
    assert min(calls.end - calls.begin) == pytest.approx(0.07, abs=0.03)
