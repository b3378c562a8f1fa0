"""Network latency: every message is under way for a while, each way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scenarios import Scenario, parse_scenario
from scenarios.distributions import parse_distribution
from scenarios.latency import latency_draws
from simulator import Costs, simulate
from simulator.replication import simulate_once

WEB: dict[str, Any] = {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}}
EDGE: dict[str, Any] = {"route": [{"to": "next"}], "service": {"next": {"upstreams": "proxy.1"}}}


def scenario(link: dict[str, str], proxy: Any = WEB, service_time: str = "20ms", **more: Any) -> Scenario:
    data = {
        "title": "far away", "seed": 3, "duration": "5s", "warmup": "0s",
        "workload": {"users": 1, "think": "10ms", **more.pop("workload", {})},
        "backend": {"web": {"service_time": service_time, **more.pop("backend", {})}},
        "proxy": proxy, "link": link, **more,
    }  # fmt: skip
    return parse_scenario(data).scenario


@pytest.mark.parametrize(
    ("link", "proxy", "expected"),
    [
        ({}, WEB, 0.020),
        ({"client": "7ms"}, WEB, 0.034),
        ({"backend": "3ms"}, WEB, 0.026),
        ({"client": "7ms", "backend": "3ms"}, WEB, 0.040),
        ({"client": "7ms", "proxy": "5ms", "backend": "3ms"}, [EDGE, WEB], 0.050),
        ({"proxy": "5ms"}, [EDGE, EDGE | {"service": {"next": {"upstreams": "proxy.2"}}}, WEB], 0.040),
        ({"proxy": "5ms"}, WEB, 0.020),
    ],
)
def test_every_link_is_passed_twice(link: dict[str, str], proxy: Any, expected: float) -> None:
    records = simulate_once(scenario(link, proxy), Costs.zero()).records
    assert records.response == pytest.approx(expected, abs=1e-9)


def test_latencies_are_drawn_anew_for_every_message_and_nobody_queues_for_a_link() -> None:
    apart = scenario(
        {"client": "exponential(10ms)"}, service_time="0ms", workload={"users": None, "rate": "2000/s"}
    )
    response = simulate_once(apart, Costs.zero()).records.response
    error = 10e-3 * np.sqrt(2 / len(response))  # of a mean of sums of two exponentials
    assert abs(response.mean() - 20e-3) < 4.9 * error, "one failure in a million"


def test_a_cache_near_the_client_spares_the_way_to_the_backend() -> None:
    cached = {**WEB, "route": [{"to": "web", "cache": {"ttl": "1h"}}]}
    records = simulate_once(
        scenario({"backend": "40ms"}, cached, workload={"objects": 5}), Costs.zero()
    ).records
    assert records.response[records.hit] == pytest.approx(0.0, abs=1e-9)
    assert records.response[~records.hit] == pytest.approx(0.1, abs=1e-9)


def test_a_time_out_counts_the_way_too() -> None:
    late = {**WEB, "limits": {"answer_timeout": "50ms"}}
    records = simulate_once(scenario({"backend": "20ms"}, late), Costs.zero()).records
    assert set(records.status.tolist()) == {504}
    assert records.response == pytest.approx(0.05)


def test_a_backend_that_fails_is_noticed_over_the_link() -> None:
    result = simulate(
        scenario({"backend": "20ms"}, {**WEB, "limits": {"answer_timeout": "1h"}},
                 backend={"fail": {"0": "1s..2s"}}),
        costs=Costs.zero(),
    )  # fmt: skip
    down = result.records.select((result.records.sent > 1.0) & (result.records.sent < 1.9))
    assert set(down.status.tolist()) == {502}
    assert down.response == pytest.approx(0.04)


def test_each_link_has_a_stream_of_its_own() -> None:
    often = parse_distribution("exponential(1ms)")
    draws = [latency_draws(often, 3, link) for link in ("client", "backend", "client")]
    first, second, again = ([draw() for _ in range(600)] for draw in draws if draw is not None)
    assert first == again
    assert first != second
    assert latency_draws(None, 3, "client") is None
