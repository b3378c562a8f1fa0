"""A limit on answers: it changes what takes longer, and nothing else."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from simpy import Environment

from scenarios import Records, Scenario, Workload, parse_scenario
from simulator import Costs, simulate
from simulator.processes import first

COSTS = Costs(miss_cpu=4e-4, client_link=1e-3, upstream_link=2e-3)
BUSY = {"replicas": 3, "service_time": "exponential(20ms)"}


def scenario(limit: str, backend: dict[str, Any], rate: str, **more: Any) -> Scenario:
    data = {
        "title": "a limit on answers",
        "seed": 11,
        "duration": "20s",
        "warmup": "0s",
        "workload": {"rate": rate, "objects": 10},
        "backend": {"web": backend},
        "proxy": {
            "route": [{"to": "web"}],
            "service": {"web": {"upstreams": "web", **more.pop("service", {})}},
            "limits": {"threads": 4096, "answer_timeout": limit},
        },
        **more,
    }
    return parse_scenario(data).scenario


def simulated(one: Scenario, costs: Costs = COSTS) -> Records:
    return simulate(one, costs=costs).records


def assert_same(one: Records, other: Records) -> None:
    for name in ("user", "seq", "object", "due", "sent", "done", "status", "upstream"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("balance", ["round_robin", "p2c", "least_requests"])
@pytest.mark.parametrize("link", [{}, {"backend": "exponential(3ms)"}])
def test_a_limit_that_no_answer_meets_changes_no_record(balance: str, link: dict[str, str]) -> None:
    without, limited, watched = (
        simulated(scenario(limit, BUSY, "120/s", service={"balance": balance, **more}, link=link))
        for limit, more in (("1d", {}), ("10s", {}), ("10s", {"retry": {"attempts": 1}}))
    )
    assert without.response.max() < 10.0
    assert_same(limited, without)
    assert_same(limited, watched)


@pytest.mark.parametrize("link", [{}, {"backend": "exponential(3ms)"}])
def test_a_limit_that_some_answers_meet_is_watched_from_the_first_request_on(link: dict[str, str]) -> None:
    """The balancer's chances, too, are those of a run that was watched because of its retries."""
    limited, watched = (
        simulated(scenario("150ms", BUSY, "120/s", service={"balance": "p2c", **more}, link=link))
        for more in ({}, {"retry": {"attempts": 1}})
    )
    assert 0.0 < (limited.status == 504).mean() < 0.5
    assert_same(limited, watched)


def test_who_meets_the_limit_is_known_from_lindleys_recursion() -> None:
    """The server works on after clients have given up, so only the responses of these clients change."""
    one = scenario("100ms", {"service_time": "exponential(20ms)"}, "40/s")
    records = simulated(one, Costs.zero())
    records = records.select(np.argsort(records.seq))
    requests = list(islice(Workload(one).stream(0), len(records)))
    free, departures = 0.0, []
    arrivals = np.cumsum([request.pause for request in requests])
    for arrival, request in zip(arrivals, requests, strict=True):
        free = max(free, arrival) + request.demand[0]
        departures.append(free)
    late = np.array(departures) - arrivals > 0.1
    assert 0.1 < late.mean() < 0.9
    assert np.array_equal(records.status, np.where(late, 504, 200))
    assert np.abs(records.done - np.where(late, arrivals + 0.1, departures)).max() < 1e-9


def test_who_meets_the_limit_gives_a_thread_back() -> None:
    """Two threads and a server that never answers: two requests in every tenth of a second get a 504."""
    one = scenario("100ms", {"service_time": "1h", "concurrency": 1000}, "100/s")
    limits = one.proxy.limits.model_copy(update={"threads": 2})
    one = one.model_copy(update={"proxy": one.proxy.model_copy(update={"limits": limits})})
    records = simulated(one, Costs.zero())
    assert set(records.status.tolist()) == {504}
    assert np.diff(np.sort(records.done)[10::2]) == pytest.approx(0.1, abs=1e-6)


def test_a_wait_leaves_nothing_with_those_who_were_not_the_first() -> None:
    """A replica's failure is waited for by every request, and most never see one."""
    env = Environment()
    never = env.event()
    for _ in range(3):
        first(env, env.timeout(1.0), never)
    assert len(never.callbacks) == 3
    env.run()
    assert never.callbacks == []
