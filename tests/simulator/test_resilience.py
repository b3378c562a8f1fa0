"""Time-outs, queues, limits, retries, breakers, checks, ejection and hedging in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scenarios import Records, Scenario, load_scenario, parse_scenario
from simulator import Costs, simulate

Bare = Callable[..., Scenario]


def run(
    service: dict[str, Any],
    backend: dict[str, Any],
    rate: str = "100/s",
    duration: str = "10s",
    limits: dict[str, Any] | None = None,
    costs: Costs | None = None,
) -> Records:
    data = {
        "title": "resilience",
        "seed": 11,
        "duration": duration,
        "warmup": "0s",
        "workload": {"rate": rate, "objects": 10},
        "backend": {"web": backend},
        "proxy": {
            "route": [{"to": "web"}],
            "service": {"web": {"upstreams": "web", **service}},
            "limits": {"threads": 4096, **(limits or {})},
        },
    }
    records = simulate(parse_scenario(data).scenario, costs=costs or Costs.zero()).records
    return records.select(np.argsort(records.seq))


def share(records: Records, status: int) -> float:
    return float(np.mean(records.status == status))


def test_the_long_way_is_as_long_as_the_short_one() -> None:
    """With nothing to do, resilience changes no record at all."""
    costs = Costs(upstream_link=1e-3, service_extra=2e-4)
    backend = {"replicas": 3, "concurrency": 2, "service_time": "exponential(20ms)"}
    plain = run({"balance": "p2c"}, backend, "250/s", costs=costs)
    long = run({"balance": "p2c", "retry": {"attempts": 3}}, backend, "250/s", costs=costs)
    for name in ("seq", "sent", "done", "status", "upstream"):
        assert np.array_equal(getattr(plain, name), getattr(long, name)), name


def test_who_waits_too_long_for_an_upstream_gets_504_on_time() -> None:
    records = run({}, {"service_time": "exponential(50ms)"}, "30/s", limits={"answer_timeout": "100ms"})
    late = records.select(records.status == 504)
    assert len(late) > 30
    assert late.response == pytest.approx(0.1)
    assert (records.response[records.status == 200] <= 0.1).all()


def test_upstreams_work_on_for_those_who_have_gone() -> None:
    records = run({}, {"service_time": "1s"}, "1.5/s", "20s", limits={"answer_timeout": "1500ms"})
    assert share(records, 504) > 0.5
    assert np.diff(records.done[records.status == 200]).min() >= 1.0 - 1e-9


def test_a_rate_limit_answers_429_to_what_is_above_it() -> None:
    records = run({"rate": "20/s"}, {"service_time": "1ms", "concurrency": 100}, "100/s", "30s")
    assert share(records, 200) == pytest.approx(0.2, abs=0.02)
    assert set(records.status.tolist()) == {200, 429}
    assert (records.response[records.status == 429] == 0).all()


def test_a_bounded_queue_loses_what_erlang_says() -> None:
    """No wait, k in flight: M/M/k/k. Erlang B for k = 4 and a = 3 is 0.2061."""
    records = run(
        {"queue": {"in_flight": 4}}, {"service_time": "exponential(10ms)", "concurrency": 4}, "300/s", "200s"
    )
    assert share(records, 503) == pytest.approx(0.2061, abs=0.006)


def test_a_bounded_queue_makes_wait_so_long_and_no_longer() -> None:
    records = run(
        {"queue": {"in_flight": 1, "wait": "30ms"}}, {"service_time": "10ms", "concurrency": 9}, "120/s"
    )
    refused = records.select(records.status == 503)
    assert len(refused) > 50
    assert refused.response == pytest.approx(0.03)
    assert records.response[records.status == 200].max() <= 0.04 + 1e-9
    done = np.sort(records.done[records.status == 200])
    assert np.diff(done).min() >= 0.01 - 1e-9, "never two in flight"


DOWN = {"replicas": 4, "service_time": "2ms", "concurrency": 50, "fail": {"3": "2s..8s"}}


def test_a_retry_finds_an_upstream_that_works() -> None:
    alone = {"failover": False}
    plain, retried = run(alone, DOWN), run({"retry": {"attempts": 2}, **alone}, DOWN)
    assert share(plain, 502) == pytest.approx(0.15, abs=0.01)
    assert share(retried, 502) == 0.0


def test_a_refused_connection_costs_no_request_but_a_broken_one_does() -> None:
    backend = DOWN | {"service_time": "200ms"}
    plain, retried = run({}, backend), run({"retry": {"attempts": 2}}, backend)
    lost = plain.select(plain.status == 502)
    assert 3 <= len(lost) <= 7, "a quarter of the twenty that were worked on"
    assert (lost.sent < 2.0).all()
    assert lost.done == pytest.approx(2.0)
    assert share(retried, 502) == 0.0


def test_a_second_attempt_asks_another_upstream() -> None:
    """Replicas 0 and 1 never answer in time: three attempts always suffice, two do not."""
    backend = {"replicas": 4, "service_time": "2ms", "concurrency": 99, "slow": {"0": 1e6, "1": 1e6}}
    limits = {"answer_timeout": "10ms"}
    for balance in ("random", "source_hash", "least_requests"):
        two = run({"retry": {"attempts": 2}, "balance": balance}, backend, limits=limits)
        three = run({"retry": {"attempts": 3}, "balance": balance}, backend, limits=limits)
        assert share(three, 200) == 1.0
        assert balance == "source_hash" or 0.0 < share(two, 504) < 0.5


def test_when_all_are_unhealthy_all_are_asked() -> None:
    """Down for good are 0 and 1; 2 and 3 only while they are probed twice. No request is refused for it."""
    backend = DOWN | {"fail": {"0": "1s..10s", "1": "1s..10s", "2": "1s..4s", "3": "1s..4s"}}
    records = run({"health": {"every": "1500ms", "fall": 1, "rise": 2}}, backend)
    assert (records.status[records.sent >= 4.0] == 200).all()
    assert set(records.upstream[records.sent >= 4.0].tolist()) == {2, 3}


def test_retries_multiply_an_outage_and_a_budget_does_not() -> None:
    """All replicas are slow beyond the time-out: every request is sent so many times again."""
    backend = {"service_time": "1s", "concurrency": 1000}
    sent = {}
    for name, retry in {
        "none": None,
        "free": {"attempts": 4},
        "budget": {"attempts": 4, "budget": 0.1},
    }.items():
        data = {
            "title": "storm", "seed": 3, "duration": "10s", "warmup": "0s",
            "workload": {"rate": "50/s"}, "backend": {"web": backend},
            "proxy": {
                "route": [{"to": "web"}],
                "service": {"web": {"upstreams": "web", **({"retry": retry} if retry else {})}},
                "limits": {"answer_timeout": "100ms"},
            },
        }  # fmt: skip
        result = simulate(parse_scenario(data).scenario, costs=Costs.zero())
        came = int(np.count_nonzero(np.diff(result.queues["web/0"].values) > 0))
        sent[name] = came / len(result.records)
    assert sent["none"] == 1.0
    assert sent["free"] == 4.0
    assert 1.1 <= sent["budget"] < 1.15


def test_a_breaker_spares_a_dead_service_and_tries_it_now_and_then() -> None:
    backend = {"service_time": "1ms", "concurrency": 50, "fail": {"0": "2s..8s"}}
    records = run({"breaker": {"failures": 5, "open": "1s"}}, backend)
    down = records.select((records.sent >= 2.0) & (records.sent < 8.0))
    assert 5 + 4 <= int(np.count_nonzero(down.status == 502)) <= 5 + 6
    assert share(down, 503) > 0.95
    assert (records.status[records.sent >= 9.1] == 200).all()


def test_health_checks_notice_after_their_delay() -> None:
    backend = DOWN | {"fail": {"3": "2.1s..8.1s"}}
    records = run({"health": {"every": "500ms", "fall": 2, "rise": 2}, "failover": False}, backend)
    failed = records.sent[records.status == 502]
    assert failed.min() > 2.0
    assert 2.9 < failed.max() <= 3.0, "two probes, at 2.5 s and 3 s"
    back = records.sent[(records.upstream == 3) & (records.sent > 3)].min()
    assert 9.0 <= back < 9.1, "two probes, at 8.5 s and 9 s"


def test_ejection_needs_no_probes_but_errors() -> None:
    records = run({"eject": {"errors": 3, "for": "4s"}, "failover": False}, DOWN)
    failed = records.sent[records.status == 502]
    assert len(failed) == 6, "three at 2 s, three when it is let back in at 6 s"
    assert np.diff(failed)[2] == pytest.approx(4.0, abs=0.2)


def test_the_last_upstream_is_never_ejected() -> None:
    records = run({"eject": {"errors": 1, "most": 1.0}}, {"service_time": "1ms", "fail": {"0": "2s..8s"}})
    assert (records.status[records.sent > 8.0] == 200).all()


def test_a_hedge_cuts_the_tail_of_one_slow_replica() -> None:
    backend = {"replicas": 10, "service_time": "2ms", "concurrency": 50, "slow": {"0": 100.0}}
    plain, hedged = run({}, backend), run({"hedge": {"after": "10ms"}}, backend)
    assert np.percentile(plain.response, 95) == pytest.approx(0.2)
    assert hedged.response.max() == pytest.approx(0.012)
    assert set(hedged.status.tolist()) == {200}


def test_the_same_seed_gives_the_same_records_with_everything_switched_on() -> None:
    everything = {
        "balance": "p2c", "rate": "90/s", "queue": {"in_flight": 30, "wait": "50ms"},
        "retry": {"attempts": 3, "budget": 0.2}, "hedge": {"after": "20ms"}, "breaker": {"failures": 20},
        "health": {"every": "300ms"}, "eject": {"errors": 2, "for": "1s"},
    }  # fmt: skip
    one, other = (run(everything, DOWN | {"service_time": "exponential(20ms)"}, costs=Costs()) for _ in "ab")
    assert np.array_equal(one.done, other.done)
    assert np.array_equal(one.status, other.status)


def test_a_locked_store_lets_more_hits_mean_less_throughput() -> None:
    """Qiu, Yang and Harchol-Balter: hits queue for the lock, misses only for a wide backend."""
    rates = []
    for capacity in ("16KiB", "8MiB"):
        overrides = {
            "workload.users": 200, "workload.think": "1ms", "workload.objects": 1000, "workload.size": "1KiB",
            "backend.origin.service_time": "2ms", "backend.origin.concurrency": 200, "duration": "1s",
            "proxy.cache": {"policy": "lru", "capacity": capacity, "hit_lock": "50us"},
        }  # fmt: skip
        scenario = load_scenario("small-cache", overrides | {"compare": {}}).scenario
        summary = simulate(scenario, costs=Costs.zero()).summary
        rates.append((summary.hit_ratio, summary.throughput_rps))
    (few, fast), (many, slow) = rates
    assert few is not None
    assert many is not None
    assert few < 0.3
    assert many > 0.8
    assert slow == pytest.approx(20_000 / many, rel=0.1)
    assert fast > 1.5 * slow
