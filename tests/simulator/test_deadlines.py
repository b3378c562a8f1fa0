"""Deadlines that travel: a request's time ends everywhere at once, and nobody works on what is past it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scenarios import Records, Scenario, parse_scenario
from simulator import Costs
from simulator.replication import simulate_once
from simulator.result import Run


def scenario(route: dict[str, Any], service: dict[str, Any] | None = None, **more: Any) -> Scenario:
    data = {
        "title": "deadlines",
        "seed": 5,
        "duration": more.pop("duration", "10s"),
        "warmup": "0s",
        "workload": {"rate": more.pop("rate", "120/s"), "objects": 10},
        "backend": {"web": {"service_time": "exponential(10ms)", **more.pop("backend", {})}},
        "proxy": {
            "route": [{"to": "web", **route}],
            "service": {"web": {"upstreams": "web", **(service or {})}},
            "limits": {"threads": 4096},
        },
        **more,
    }
    return parse_scenario(data).scenario


def run(*args: Any, **more: Any) -> Run:
    return simulate_once(scenario(*args, **more), Costs.zero())


def late(records: Records) -> Records:
    return records.select(records.status == 504)


def good(found: Run) -> float:
    return float(np.mean(found.records.status == 200))


def test_a_request_ends_at_its_deadline_whatever_is_left_to_try() -> None:
    """Every attempt would take a second: one of 100 ms after another, until 250 ms are over."""
    one = run(
        {"timeout": "250ms", "try_timeout": "100ms"}, {"retry": {"attempts": 9}},
        backend={"service_time": "1s", "concurrency": 9999}, rate="20/s",
    )  # fmt: skip
    assert set(one.records.status.tolist()) == {504}
    assert one.records.response == pytest.approx(0.25)
    came = np.count_nonzero(np.diff(one.queues["web/0"].values) > 0)
    assert came == 3 * len(one.records)


def test_each_attempt_has_its_own_limit() -> None:
    one = run(
        {"try_timeout": "100ms"}, {"retry": {"attempts": 3}},
        backend={"service_time": "1s", "concurrency": 9999}, rate="20/s",
    )  # fmt: skip
    assert one.records.response == pytest.approx(0.3)


def test_a_retry_that_would_begin_too_late_is_not_made() -> None:
    """The first attempt fails after 100 ms; a backoff of 200 ms or more would end after the deadline."""
    one = run(
        {"timeout": "250ms", "try_timeout": "100ms"}, {"retry": {"attempts": 9, "backoff": "200ms"}},
        backend={"service_time": "1s", "concurrency": 9999}, rate="20/s",
    )  # fmt: skip
    assert one.records.response == pytest.approx(0.1)


def test_a_server_that_is_told_works_only_for_those_who_still_wait() -> None:
    """An overload of 1.2: without deadlines nearly all work is for those who have gone."""
    silent, told = (run({"timeout": "100ms"}, {"deadline": tells}) for tells in (False, True))
    assert late(silent.records).response == pytest.approx(0.1)
    assert good(silent) < 0.2
    assert good(told) > 0.6
    assert max(told.queues["web/0"].values) < max(silent.queues["web/0"].values) / 3


def test_a_queue_waits_no_longer_than_the_deadline() -> None:
    one = run(
        {"timeout": "50ms"}, {"queue": {"in_flight": 1, "wait": "10s"}}, backend={"service_time": "20ms"},
        rate="200/s",
    )  # fmt: skip
    refused = late(one.records)
    assert len(refused) > 1000
    assert refused.response == pytest.approx(0.05)
    assert 503 not in one.records.status


@pytest.mark.parametrize("link", [{}, {"proxy": "10ms", "backend": "5ms"}])
def test_a_deadline_travels_through_a_chain_to_the_servers(link: dict[str, str]) -> None:
    """The second proxy and the server have no limit of their own, and give up with the first proxy."""
    first = {"route": [{"to": "next", "timeout": "100ms"}], "service": {"next": {"upstreams": "proxy.1"}}}
    second = {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}}
    told = run({}, link=link, proxy=[first, second])
    first["service"] = {"next": {"upstreams": "proxy.1", "deadline": False}}
    silent = run({}, link=link, proxy=[first, second])
    for one in (told, silent):
        assert late(one.records).response == pytest.approx(0.1, abs=1e-9)
    assert good(told) > 2 * good(silent)
    assert max(told.queues["proxy.1"].values) < 40 < max(silent.queues["proxy.1"].values)


def test_requests_within_their_deadline_are_as_without_one() -> None:
    with_limit, without = (run(route, rate="50/s") for route in ({"timeout": "10s"}, {}))
    for name in ("seq", "sent", "done", "status", "upstream"):
        assert np.array_equal(getattr(with_limit.records, name), getattr(without.records, name)), name
