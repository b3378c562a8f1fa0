"""Real users with fan-out requests, and real servers that pause at random."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest

from loadtests import Measurement
from policies.settings import Hedge
from scenarios import Scenario, Workload, parse_scenario

Undisturbed = Callable[[Scenario, Callable[[Measurement], object]], Measurement]


def scenario(workload: dict[str, Any], **backend: Any) -> Scenario:
    return parse_scenario(
        {
            "title": "many", "seed": 5, "duration": "1s", "warmup": "0s",
            "workload": {"objects": 50, **workload},
            "backend": {"web": {"replicas": 2, "concurrency": 50, "service_time": "5ms", **backend}},
            "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
        }
    ).scenario  # fmt: skip


@pytest.mark.parametrize(
    "load", [{"users": 3, "think": "exponential(50ms)"}, {"rate": "20/s"}], ids=["closed", "open"]
)
def test_all_parts_are_due_at_once_and_the_slowest_counts(
    undisturbed: Undisturbed, load: dict[str, Any]
) -> None:
    asked = scenario({**load, "fanout": 6})
    run, workload = undisturbed(asked, lambda run: len(run.records) > 30), Workload(asked)
    records = run.records
    records = records.select(np.lexsort((records.seq, records.user)))
    assert run.generator["planned"] == len(records) == run.backends["requests"]
    assert len(records) % 6 == 0
    due, done = records.due.reshape(-1, 6), records.done.reshape(-1, 6)
    assert (due == due[:, :1]).all()
    whole = records.whole()
    whole = whole.select(np.lexsort((whole.seq, whole.user)))
    assert whole.done == pytest.approx(done.max(axis=1))
    for user in range(workload.streams):
        mine = records.select(records.user == user)
        stream = [request.object for request in islice(workload.stream(user), len(mine))]
        assert mine.object.tolist() == stream
    if records.closed:
        last = records.user[::6][1:] == records.user[::6][:-1]
        assert (due[1:, 0] > done.max(axis=1)[:-1])[last].all()


def test_a_hedged_run_is_valid_and_its_backends_work_more(undisturbed: Undisturbed) -> None:
    asked = scenario({"users": 3, "think": "5ms"}, hiccup={"share": 0.2, "lasts": "50ms"})
    service = asked.proxy.service["web"].model_copy(update={"hedge": Hedge(after=0.02)})
    proxy = asked.proxy.model_copy(update={"service": {"web": service}})
    run = undisturbed(asked.model_copy(update={"proxy": proxy}), lambda run: len(run.records) > 30)
    assert len(run.records) < run.backends["requests"] < 2 * len(run.records)


def test_a_server_pauses_for_the_requests_that_the_simulator_says(undisturbed: Undisturbed) -> None:
    chance = {"hiccup": {"share": 0.2, "lasts": "30ms"}, "jitter": "exponential(1ms)", "replicas": 1}
    asked = scenario({"users": 1, "think": "1ms"}, **chance)

    def as_it_says(run: Measurement) -> bool:
        records = run.records.select(np.argsort(run.records.seq))
        draw = asked.backend["web"].own_work(asked.seed, "web/0")
        assert draw is not None
        expected = np.array([0.005 + draw() for _ in records.seq])
        assert (records.response > expected - 1e-5).all()
        assert run.backends["demand_seconds"] == pytest.approx(expected.sum(), abs=0.05)
        return len(records) > 20 and bool(np.median(records.response - expected) < 0.02)

    for _ in range(2):  # chance begins anew with every run
        undisturbed(asked, as_it_says)
