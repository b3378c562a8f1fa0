"""Injected faults in the model: the same settings and the same chance as in the real proxy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policies.bad_input import BadInput
from scenarios import Records, Scenario, parse_scenario
from simulator import Costs, simulate


def scenario(*faults: dict[str, Any]) -> Scenario:
    data = {
        "title": "faults", "seed": 3, "duration": "20s", "warmup": "0s",
        "workload": {"rate": "100/s", "objects": 10},
        "backend": {"web": {"service_time": "1ms", "concurrency": 100}},
        "proxy": {"route": [{"to": "web", "fault": list(faults)}], "service": {"web": {"upstreams": "web"}}},
    }  # fmt: skip
    return parse_scenario(data).scenario


def run(*faults: dict[str, Any]) -> Records:
    return simulate(scenario(*faults), costs=Costs.zero()).records


def test_latency_adds_its_law_to_those_that_it_strikes() -> None:
    records = run({"kind": "latency", "delay": "50ms", "probability": 0.25})
    late = records.response > 0.02
    assert np.mean(late) == pytest.approx(0.25, abs=0.03)
    assert records.response[late] == pytest.approx(0.051)
    spread = run({"kind": "latency", "delay": "50ms", "law": "exponential"}).response
    assert spread.mean() == pytest.approx(0.051, rel=0.1)
    assert np.percentile(spread - 0.001, 50) == pytest.approx(0.05 * np.log(2), rel=0.12)


def test_errors_and_resets_reach_no_backend() -> None:
    records = run({"kind": "error", "status": 500, "probability": 0.2}, {"kind": "reset", "probability": 0.5})
    assert np.mean(records.status == 500) == pytest.approx(0.2, abs=0.03)
    assert np.mean(records.status == 0) == pytest.approx(0.4, abs=0.03)
    assert (records.upstream[records.status != 200] < 0).all()
    assert records.summary((0.0, 20.0)).error_ratio == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("fault", [{"kind": "bandwidth", "rate": "1MiB/s"}, {"kind": "half"}])
def test_what_needs_real_bytes_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as said:
        run(fault)
    kind = fault["kind"]
    expected = f"scenario: proxy.route.0.fault.0: {kind!r} is not modelled; only the real proxy injects it"
    assert str(said.value) == expected
