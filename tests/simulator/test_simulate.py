"""What `simulate` promises: reproducible, the shared policies, records and queues that fit together."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from policies import eviction_policies, eviction_policy
from policies.eviction import Lru, charged_size
from scenarios import Records, Scenario, Workload, load_scenario
from simulator import Costs, simulate
from simulator.costs import link_sampler, spread_of

SPREAD = Costs(hit_spread=(-1e-4, 0.0, 3e-4), miss_spread=(-2e-4, 0.0, 4e-4))


def same(one: Records, other: Records) -> bool:
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("user", "seq", "object", "due", "sent", "done", "status", "hit", "upstream", "size")
    )


@pytest.mark.parametrize("name", ["slow-server", "small-cache"])
def test_the_same_seed_gives_the_same_records_bit_for_bit(name: str) -> None:
    for variant in load_scenario(name, {"duration": "4s", "warmup": "1s"}).variants:
        first, second = (simulate(variant.scenario, costs=SPREAD).records for _ in range(2))
        assert same(first, second)


def test_processes_give_the_same_records_as_one() -> None:
    scenario = load_scenario("small-cache", {"duration": "3s", "warmup": "1s"}).variants[0].scenario
    alone, spread = (simulate(scenario, 3, lucks=2, costs=SPREAD, jobs=jobs) for jobs in (1, 2))
    assert len(alone.runs) == 6
    assert all(same(a.records, b.records) for a, b in zip(alone.runs, spread.runs, strict=True))


def test_replications_differ_and_luck_leaves_the_requests_alone() -> None:
    scenario = load_scenario("slow-server", {"duration": "3s", "warmup": "1s"}).scenario
    seeds = simulate(scenario, 2, costs=SPREAD).runs
    lucks = simulate(scenario, lucks=2, costs=SPREAD).runs
    assert not same(seeds[0].records, seeds[1].records)
    assert not same(lucks[0].records, lucks[1].records)
    for user in range(3):
        mine = [run.records.object[run.records.user == user] for run in lucks]
        shared = min(map(len, mine))
        assert shared > 3
        assert np.array_equal(mine[0][:shared], mine[1][:shared])


def test_every_user_asks_for_what_the_workload_says_and_waits_for_its_answers() -> None:
    scenario = load_scenario("slow-server", {"duration": "3s", "warmup": "1s"}).scenario
    records = simulate(scenario).records
    workload = Workload(scenario)
    for user in range(scenario.workload.users or 0):
        rows = records.select(records.user == user)
        rows = rows.select(np.argsort(rows.seq))
        asked = [request.object for request, _ in zip(workload.stream(user), rows.seq, strict=False)]
        assert rows.object.tolist() == asked
        assert (rows.sent[1:] > rows.done[:-1]).all()
    assert (records.sent < scenario.duration).all()


def test_one_clients_hits_are_those_of_the_eviction_policy_alone() -> None:
    loaded = load_scenario("small-cache", {"workload.users": 1, "workload.think": "1ms", "duration": "8s"})
    for variant in loaded.variants:
        records = simulate(variant.scenario).records
        store = variant.scenario.proxy.cache
        policy = eviction_policies[store.policy](store.capacity, rng=random.Random(0))
        replayed = [
            policy.request(number, charged_size(size, store.overhead), 0.0)
            for number, size in zip(records.object.tolist(), records.size.tolist(), strict=True)
        ]
        assert len(records) > 200
        assert records.hit.tolist() == replayed


def test_answers_expire_after_their_freshness() -> None:
    overrides = {
        "workload.users": 1, "workload.objects": 1, "workload.think": "130ms", "duration": "10s",
        "backend.origin.cache_control": "max-age=1", "backend.origin.service_time": "0s",
        "proxy.cache.capacity": "1GiB",
    }  # fmt: skip
    records = simulate(load_scenario("small-cache", overrides).scenario, costs=Costs.zero()).records
    misses = records.sent[~records.hit]
    assert len(misses) == pytest.approx(10, abs=1)
    assert (np.diff(misses) >= 1.0).all()


@pytest.mark.parametrize("said", ["no-store", "private", "no-cache", "max-age=0"])
def test_what_the_origin_forbids_is_never_a_hit(said: str) -> None:
    overrides = {"backend.origin.cache_control": said, "duration": "2s"}
    records = simulate(load_scenario("small-cache", overrides).scenario).records
    assert not records.hit.any()


def test_routes_decide_which_service_answers(bare_scenario: Callable[..., Scenario]) -> None:
    scenario = load_scenario(
        "slow-server",
        {
            "duration": "2s",
            "workload.objects": 10,
            "proxy.route": [
                {"when": {"path": "/objects/0"}, "respond": 403},
                {"when": {"path": "/objects/[1-5]"}, "to": "web"},
            ],
        },
    ).scenario
    records = simulate(scenario).records
    status = {number: set(records.status[records.object == number].tolist()) for number in range(10)}
    expected = {0: {403}, **{n: {200} for n in range(1, 6)}, **{n: {404} for n in range(6, 10)}}
    assert status == expected
    assert (records.upstream[records.status != 200] == -1).all()


def test_open_arrivals_do_not_wait_for_answers(bare_scenario: Callable[..., Scenario]) -> None:
    scenario = bare_scenario({"rate": "50/s"}, {"service_time": "100ms"}, duration="4s")
    records = simulate(scenario, costs=Costs.zero()).records
    assert not records.closed
    assert records.done.max() > 15
    assert records.sent.max() < 4


def test_queues_count_what_is_inside(bare_scenario: Callable[..., Scenario]) -> None:
    scenario = bare_scenario(
        {"users": 9, "think": "1ms"}, {"service_time": "50ms", "concurrency": 2}, duration="3s"
    )
    series = simulate(scenario, costs=Costs.zero()).queues["web/0"]
    assert series.values.max() == 9
    assert series.values[-1] == 0
    assert series.mean((1.0, 2.0)) == pytest.approx(9, abs=0.2)


@pytest.fixture
def own_policy() -> Iterator[str]:
    """A student's policy, as a notebook cell would register it: known to `__main__` alone."""
    main = sys.modules["__main__"]

    @eviction_policy("forgetful")
    class Forgetful(Lru):
        def touch(self, key: object, now: float) -> None:
            """Learn nothing from a hit, like fifo."""

    Forgetful.__module__ = main.__name__
    yield "forgetful"
    eviction_policies._classes.pop("forgetful")


def test_a_students_policy_runs_in_worker_processes_too(own_policy: str) -> None:
    loaded = load_scenario("small-cache", {"duration": "3s", "compare": {}})
    hits = []
    for policy in (own_policy, "fifo"):
        proxy = loaded.scenario.proxy
        store = proxy.cache.model_copy(update={"policy": policy})
        scenario = loaded.scenario.model_copy(update={"proxy": proxy.model_copy(update={"cache": store})})
        hits.append(simulate(scenario, 2, jobs=2).summary.hit_ratio)
    assert hits[0] == hits[1]


def test_link_times_keep_their_mean_and_spread() -> None:
    rng = random.Random(5)
    samples = [1e-3 + rng.expovariate(1 / 2e-4) for _ in range(4000)]
    mean = sum(samples) / len(samples)
    draw = link_sampler(mean, spread_of(samples), random.Random(6))
    drawn = np.array([draw() for _ in range(40_000)])
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx(
        np.quantile(samples, [0.1, 0.5, 0.9]), rel=0.02
    )
    assert drawn.mean() == pytest.approx(mean, rel=0.01)
    assert drawn.min() > 0


def test_costs_survive_a_file(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "costs.json"  # type: ignore[operator]
    SPREAD.save(path)
    assert Costs.load(path) == SPREAD


def test_intervals_need_replications_and_cover_their_mean(bare_scenario: Callable[..., Scenario]) -> None:
    scenario = bare_scenario({"rate": "50/s"}, {"service_time": "exponential(10ms)"}, duration="5s")
    with pytest.raises(ValueError, match="two replications"):
        simulate(scenario).interval("mean_ms")
    result = simulate(scenario, 5)
    low, high = result.interval("mean_ms")
    assert low < result.summary.mean_ms < high
