"""A confirmation of a call graph: calls are judged and shown, and the costs of sidecars come back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from loadtests import Measurement
from scenarios import Scenario
from scenarios.call_records import CallFigures
from scenarios.loading import LoadedScenario
from simulator import Costs
from simulator.replication import simulate_once
from twin.cli.terminal import print_confirmation
from twin.confirm import compare
from twin.confirm.calibrate import costs_from, hit_probe, miss_probe
from twin.confirm.conclusion import how_judged
from twin.confirm.outcome import Confirmation
from twin.confirm.report import confirmation_page

GRAPH: dict[str, Any] = {
    "title": "calls",
    "seed": 3,
    "duration": "4s",
    "warmup": "0s",
    "workload": {"rate": "100/s"},
    "backend": {
        "front": {"concurrency": 20, "service_time": "2ms", "calls": [{"to": "cart", "times": 2}]},
        "cart": {"concurrency": 20, "service_time": "2ms", "calls": [{"to": "store", "share": 0.5}]},
        "store": {"concurrency": 20, "service_time": "2ms"},
    },
    "proxy": {"route": [{"to": "front"}], "service": {"front": {"upstreams": "front"}}},
    "compare": {"backend.store.errors": [0.0, 0.5]},
}


@pytest.fixture(scope="module")
def loaded(load: Callable[..., LoadedScenario]) -> LoadedScenario:
    return load(GRAPH)


@pytest.fixture(scope="module")
def found(loaded: LoadedScenario, confirmation: Callable[..., Confirmation]) -> Confirmation:
    return confirmation(loaded)


def test_a_model_confirms_itself(found: Confirmation) -> None:
    assert {outcome.verdict for outcome in found.variants} == {"confirmed"}


def test_every_figure_of_the_calls_is_judged(found: Confirmation) -> None:
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    failing = data["variants"][1]
    assert failing["measured"]["calls"].keys() == {"cart@1", "store@2"}
    for call in ("cart@1", "store@2"):
        for kind in compare.OF_CALLS:
            assert f"{kind}.{call}" in failing["difference"]
            assert failing["tolerance"][f"{kind}.{call}"] > 0


@pytest.mark.parametrize(
    ("changes", "metric"),
    [({"rps": 40.0}, "call_rps"), ({"mean_ms": 50.0}, "call_mean_ms"), ({"error_ratio": 0.9}, "call_errors")],
)
def test_calls_that_were_predicted_wrongly_refute(
    found: Confirmation, changes: dict[str, float], metric: str
) -> None:
    outcome = found.variants[0]
    calls = dict(outcome.measured.calls)
    calls["store@2"] = calls["store@2"]._replace(**changes)
    seen = replace(outcome.measured, calls=calls)
    apart = compare.difference(outcome.simulated, seen)
    allowed = compare.tolerances(outcome.simulated, seen)
    assert abs(apart[f"{metric}.store@2"]) > allowed[f"{metric}.store@2"]
    assert compare.verdict(apart, {}, allowed) == "refuted"


def test_few_calls_may_differ_by_two_of_them(found: Confirmation) -> None:
    outcome = found.variants[0]
    calls = {"store@2": CallFigures(1.0, 10.0, 20.0, 0.0, 10.0)}
    allowed = compare.tolerances(outcome.simulated, replace(outcome.measured, calls=calls))
    assert allowed["call_rps.store@2"] == allowed["call_errors.store@2"] == 2 / 10
    assert allowed["call_mean_ms.store@2"] == 0.05


def test_terminal_page_and_sentences_show_the_calls(found: Confirmation) -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    print_confirmation(found, console)
    assert isinstance(console.file, io.StringIO)
    text, page = console.file.getvalue(), confirmation_page(found)
    for shown in (text, page):
        assert "Calls between services, as their callers see them" in shown
        assert "store" in shown
    assert any(line.startswith("For the calls to each service: calls/s 2 %") for line in how_judged(found))


def test_the_costs_of_sidecars_come_back(loaded: LoadedScenario) -> None:
    """What idle probes of a system with known costs would yield gives these costs."""
    sidecar = Costs(4e-4, 4e-4, 0.0, 7e-4, 2e-4)
    true = Costs(1e-4, 3e-4, 5e-4, 9e-4, 2e-4, sidecar=sidecar)

    def measured(probe: Scenario) -> Measurement:
        records = simulate_once(probe, true).records
        calls = records.calls
        misses = int((~records.hit).sum())
        worked = misses + len(calls)
        waits = float((calls.end - calls.begin).sum())
        return Measurement(
            records,
            void=[],
            generator={},
            proxy={"cpu_seconds": misses * true.miss_cpu + (len(records) - misses) * true.hit_cpu},
            backends={"busy_seconds": worked * 2e-4 + waits, "demand_seconds": 0.0},
            sidecar_cpu_seconds=(misses + 2 * len(calls)) * sidecar.miss_cpu,
        )

    scenario = loaded.scenario
    costs = costs_from(measured(miss_probe(scenario)), measured(hit_probe(scenario))).costs
    assert costs.sidecar is not None
    assert costs.sidecar.miss_cpu == pytest.approx(sidecar.miss_cpu, rel=0.02)
    assert costs.sidecar.upstream_link == pytest.approx(sidecar.upstream_link, rel=0.05)
    assert costs.upstream_link == pytest.approx(true.upstream_link, rel=0.1)
    assert costs.miss_cpu == pytest.approx(true.miss_cpu, rel=0.02)
    assert costs.service_extra == pytest.approx(true.service_extra, rel=0.02)
