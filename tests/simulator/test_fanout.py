"""Requests made of many, answered by the slowest; servers that pause by chance."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest

from scenarios import Scenario, Workload
from simulator import Costs
from simulator.replication import simulate_once

Bare = Callable[..., Scenario]
MANY = {"service_time": "exponential(10ms)", "concurrency": 10_000}


@pytest.mark.parametrize("load", [{"rate": "20/s"}, {"users": 3, "think": "exponential(20ms)"}])
def test_an_answer_is_as_late_as_its_slowest_part(bare_scenario: Bare, load: dict[str, object]) -> None:
    """Exactly: with a slot for everybody, the largest of the demands that were drawn for its parts."""
    scenario = bare_scenario({**load, "fanout": 20}, MANY, duration="10s")
    records = simulate_once(scenario, Costs.zero()).records
    whole, workload = records.whole(), Workload(scenario)
    assert len(records) == 20 * len(whole) > 2000
    for user in range(workload.streams):
        mine = whole.select(whole.user == user)
        mine = mine.select(np.argsort(mine.seq))
        demands = [request.demand[0] for request in islice(workload.stream(user), 20 * len(mine))]
        assert mine.seq.tolist() == list(range(len(mine)))
        assert mine.response == pytest.approx(np.reshape(demands, (-1, 20)).max(axis=1), abs=1e-9)


def test_the_summary_counts_whole_requests_and_the_proxy_their_parts(bare_scenario: Bare) -> None:
    scenario = bare_scenario({"rate": "50/s", "fanout": 10}, MANY, duration="40s")
    run = simulate_once(scenario, Costs.zero())
    assert run.summary.requests == len(run.records)
    assert run.summary.throughput_rps == pytest.approx(len(run.records) / 10 / 40, rel=0.02)
    harmonic = sum(1 / k for k in range(1, 11))  # the mean of the largest of ten exponentials
    spread = np.sqrt(sum(1 / k**2 for k in range(1, 11)) / (len(run.records) / 10))
    assert abs(run.summary.mean_ms / 10 - harmonic) < 4.9 * spread, "one failure in a million"


def test_a_closed_user_goes_on_when_the_last_part_is_there(bare_scenario: Bare) -> None:
    scenario = bare_scenario({"users": 2, "think": "5ms", "fanout": 8}, MANY, duration="3s")
    records = simulate_once(scenario, Costs.zero()).records
    for user in range(2):
        mine = records.select(records.user == user)
        mine = mine.select(np.argsort(mine.seq))
        sent, done = mine.sent.reshape(-1, 8), mine.done.reshape(-1, 8)
        assert (sent == sent[:, :1]).all()
        assert sent[1:, 0] == pytest.approx(done.max(axis=1)[:-1] + 0.005)


def test_a_servers_own_chance_is_what_both_twins_draw(bare_scenario: Bare) -> None:
    backend = {
        "service_time": "2ms", "concurrency": 1000,
        "jitter": "exponential(3ms)", "hiccup": {"share": 0.1, "lasts": "1s"},
    }  # fmt: skip
    scenario = bare_scenario({"rate": "100/s"}, backend, duration="20s")
    records = simulate_once(scenario, Costs.zero()).records
    records = records.select(np.argsort(records.seq))
    draw = scenario.backend["web"].own_work(scenario.seed, "web/0")
    assert draw is not None
    assert records.response == pytest.approx([0.002 + draw() for _ in records.seq], abs=1e-9)
    assert 0.05 < (records.response > 0.5).mean() < 0.15
