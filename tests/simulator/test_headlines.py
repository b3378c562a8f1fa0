"""What a student should find in the shipped scenarios: the field's headline results come out.

Each scenario runs as it is shipped, with a proxy that costs nothing, more replications, and the time
it needs to settle. Expected values are theory's where there is one (z-test on replications with fixed
seeds: a correct model fails one comparison in a million), else known figures with a tolerance.
"""

from __future__ import annotations

import random
from functools import cache
from itertools import islice, pairwise

import numpy as np
import pytest

from lessons.balancing.affinity import share_moved
from policies import eviction_policies
from policies.eviction import charged_size
from scenarios import Scenario, Workload, load_scenario
from simulator import Costs, Result, compare_paired, simulate
from simulator.statistics import batch_means, coordinated_omission, estimate

Z = 4.9


@cache
def simulated(name: str, duration: str = "60s", replications: int = 8) -> dict[str, Result]:
    """Every variant of a shipped scenario, by its label."""
    changes = {"duration": duration, "warmup": "5s"}
    return {
        variant.label: simulate(variant.scenario, replications, costs=Costs.zero())
        for variant in load_scenario(name, changes).variants
    }


@cache
def simulated_as_shipped(name: str) -> dict[str, Result]:
    return {
        variant.label: simulate(variant.scenario, costs=Costs.zero())
        for variant in load_scenario(name).variants
    }


def in_service_times(result: Result, metric: str = "mean_ms") -> np.ndarray:
    """A figure of each replication, as a multiple of the mean service time."""
    (backend,) = result.scenario.backend.values()
    return result.values(metric) / (1e3 * backend.service_time.mean)


@pytest.mark.parametrize(("rate", "expected"), [("25/s", 2.0), ("40/s", 5.0), ("45/s", 10.0)])
def test_hockey_stick(rate: str, expected: float) -> None:
    """1 / (1 - load), in service times: twice at a half, ten times at nine tenths."""
    result = simulated("hockey-stick", "200s")[rate]
    assert result.settled
    assert abs(estimate(in_service_times(result)).z_score(expected)) < Z
    assert estimate(in_service_times(result)).half_width < 0.25 * expected


@pytest.mark.parametrize(
    ("balance", "mean", "p99"),
    [("random", 10.8, 49), ("round_robin", 5.7, 26), ("p2c", 3.2, 11), ("least_requests", 2.0, 8)],
)
def test_ten_servers(balance: str, mean: float, p99: float) -> None:
    """Known from small models; a queue at 0.9 is noisy, hence the tolerances."""
    result = simulated("ten-servers", "60s", 4)[balance]
    assert in_service_times(result).mean() == pytest.approx(mean, rel=0.15)
    assert in_service_times(result, "p99_ms").mean() == pytest.approx(p99, rel=0.25)


def test_ten_servers_are_ranked_beyond_doubt() -> None:
    results = simulated("ten-servers", "60s", 4)
    order = ["random", "round_robin", "p2c", "least_requests"]
    for worse, better in pairwise(order):
        found = compare_paired(results[worse], results[better], "mean_ms")
        assert found.decided and found.mean > 0


def test_equal_requests() -> None:
    """Round robin makes arrivals even, and even arrivals with equal work hardly queue."""
    results = simulated("equal-requests", "60s", 4)
    assert in_service_times(results["round_robin"]).mean() == pytest.approx(1.37, rel=0.05)
    load = 0.9
    random_split = 1 + load / (2 * (1 - load))  # M/D/1, Pollaczek and Khinchine
    assert in_service_times(results["random"]).mean() == pytest.approx(random_split, rel=0.12)


def test_one_slow_of_ten() -> None:
    results = simulated("one-slow-of-ten", "60s", 2)
    for blind in ("round_robin", "random"):
        assert not results[blind].settled
        assert "never settles" in results[blind].settled.reason
    for seeing, expected in (("p2c", 2.3), ("least_requests", 1.4)):
        assert results[seeing].settled
        assert in_service_times(results[seeing]).mean() == pytest.approx(expected, rel=0.15)


def replayed_hits(scenario: Scenario, count: int) -> np.ndarray:
    """The hits of a scenario's own requests; `test_simulate.py` shows that the model's are the same."""
    store = scenario.proxy.cache
    policy = eviction_policies[store.policy](store.capacity, rng=random.Random(1))
    requests = islice(Workload(scenario).stream(0), count)
    return np.array(
        [policy.request(one.object, charged_size(one.size, store.overhead), 0.0) for one in requests], float
    )


@pytest.mark.parametrize(
    ("policy", "expected"), [("fifo", 0.510), ("lru", 0.556), ("sieve", 0.635), ("lfu", 0.631)]
)
def test_popular_objects(policy: str, expected: float) -> None:
    """FIFO < LRU < LFU < SIEVE < always keeping the thousand most popular, 0.671.

    This LFU counts only while an object is in the cache. One that never forgets a count comes to
    0.665, for it learns the popularity of all ten thousand.
    """
    variants = {variant.label: variant.scenario for variant in load_scenario("popular-objects").variants}
    assert list(variants) == ["fifo", "lru", "sieve", "lfu"]
    hits = replayed_hits(variants[policy], 200_000)[40_000:]
    assert hits.mean() == pytest.approx(expected, abs=0.005)
    best = variants[policy].workload.popularity.probabilities(10_000)[:1_000].sum()
    assert best == pytest.approx(0.671, abs=5e-4)
    assert hits.mean() < best


def test_the_simulated_proxy_has_the_hits_of_the_replay() -> None:
    instant = {"duration": "60s", "warmup": "0s", "backend.origin.service_time": "0s"}
    scenario = load_scenario("popular-objects", instant).variants[1].scenario
    records = simulate(scenario, costs=Costs.zero()).records
    assert len(records) > 17_000
    assert np.array_equal(records.hit, replayed_hits(scenario, len(records)).astype(bool))


@pytest.mark.parametrize("objects", [20, 100, 400])
def test_cache_size(objects: int) -> None:
    """LRU against Che's approximation, within a thousandth and what chance does to 300,000 requests."""
    loaded = load_scenario("cache-size", {"proxy.cache.capacity": objects * (1024 + 512)})
    by_capacity = {variant.scenario.proxy.cache.capacity: variant.scenario for variant in loaded.variants}
    hits = batch_means(replayed_hits(by_capacity[objects * (1024 + 512)], 300_000)[20_000:])
    chances = loaded.scenario.workload.popularity.probabilities(2_000)
    low, high = 0.0, 1e6
    for _ in range(100):
        time = (low + high) / 2
        low, high = (time, high) if (1 - np.exp(-chances * time)).sum() < objects else (low, time)
    expected = float(np.dot(chances, 1 - np.exp(-chances * low)))
    assert abs(hits.mean - expected) < 1e-3 + Z * hits.error


def test_open_or_closed() -> None:
    open_load, closed = simulated("open-or-closed", "120s").values()
    rates = [estimate(result.values("throughput_rps")).mean for result in (open_load, closed)]
    assert rates == pytest.approx([40, 40], rel=0.02), "the same throughput"
    assert abs(estimate(in_service_times(open_load)).z_score(5.0)) < Z
    assert in_service_times(closed).mean() == pytest.approx(2.8, rel=0.05)


def test_coordinated_omission() -> None:
    short, enough = simulated("coordinated-omission", "200s", 2).values()
    assert short.summary == enough.summary, "counted from the due time, nothing is hidden"
    found = coordinated_omission(short.records, short.scenario.window)
    assert found.understated(0.99) == pytest.approx(12, rel=0.2)
    assert coordinated_omission(enough.records).understated(0.99) == 1.0


@pytest.mark.parametrize(("balance", "expected"), [("p2c", 4.3), ("least_requests", 13.6)])
def test_stale_loads(balance: str, expected: float) -> None:
    """Between two looks all join the same shortest queue; two choices spread over many.

    Known from small models, hence the tolerance: more than three standard errors of these runs.
    """
    result = simulated("stale-loads", "60s", 4)[balance]
    assert result.settled
    assert in_service_times(result).mean() == pytest.approx(expected, rel=0.2)


def test_chance_does_not_mind_stale_loads() -> None:
    """It does not look: M/M/1 at 0.9."""
    assert abs(estimate(in_service_times(simulated("stale-loads", "60s", 4)["random"])).z_score(10.0)) < Z


def test_stale_loads_make_the_shortest_queue_worse_than_chance() -> None:
    results = simulated("stale-loads", "60s", 4)
    for worse, better in (("least_requests", "random"), ("random", "p2c")):
        assert compare_paired(results[worse], results[better], "mean_ms").mean > 0


def test_locked_cache() -> None:
    """By the operational laws: a closed system is bound by its users, or by its one lock.

    N / (Z + (1 - p) D) while the lock is idle enough, 1 / (p L) at most: with L = 5 ms, D = 500 ms,
    Z = 100 ms and N = 100 the two meet at p = 0.6.
    """
    found = [result.summary for result in simulated_as_shipped("locked-cache").values()]
    locked, free = found[:3], found[3:]
    assert [one.hit_ratio for one in locked] == pytest.approx([0.3, 0.6, 1.0], abs=0.02)
    assert [one.hit_ratio for one in free] == pytest.approx([0.3, 0.6, 1.0], abs=0.02)
    throughput = [one.throughput_rps for one in locked]
    assert throughput[1] > 1.4 * max(throughput[0], throughput[2]), "it peaks below 100 % hits"
    assert throughput[2] == pytest.approx(1 / 5e-3, rel=0.01), "there the lock is never free"
    for one in free:
        assert one.throughput_rps == pytest.approx(100 / (0.1 + (1 - one.hit_ratio) * 0.5), rel=0.05)


MOVED = {"source_hash": 10 / 11, "rendezvous_hash": 1 / 11, "ring_hash": 1 / 11, "maglev": 1 / 11}


@pytest.mark.parametrize("balance", MOVED)
def test_one_more_server(balance: str) -> None:
    """Consistent hashing moves the new server's share of the clients; the modulus moves nearly all.

    Exactly so for rendezvous and source hash, whose hashes are as good as chance (z-test). A ring's
    new server has a share of its own making, within a tenth or so of the mean; Maglev moves a few
    clients more than it must (E. Eisenbud et al., NSDI 2016, section 5.3).
    """
    users = 1_500
    ten, eleven = (
        simulate(one.scenario, costs=Costs.zero())
        for one in load_scenario("one-more-server", {"workload.users": users, "duration": "8s"}).variants
        if one.scenario.proxy.service["web"].balance == balance
    )
    moved = share_moved(ten.records, eleven.records)
    chance = Z * (MOVED[balance] * (1 - MOVED[balance]) / users) ** 0.5
    slack = {"ring_hash": 0.01, "maglev": 0.03}.get(balance, 0.0)
    assert moved == pytest.approx(MOVED[balance], abs=chance + slack)


def test_one_replica_dies() -> None:
    """What is refused is a quarter of four seconds out of ten; each remedy leaves less of it."""
    ratios = [result.summary.error_ratio for result in simulated_as_shipped("one-replica-dies").values()]
    nothing, eject, health, failover, retry = ratios
    assert nothing == pytest.approx(0.1, abs=0.01)
    assert failover < min(eject, health) < max(eject, health) < 0.01
    assert retry == 0.0


def test_injected_faults() -> None:
    """What strikes is a tenth; a delay of 40 ms for one in five is 8 ms on average."""
    nothing, late, error, reset = (
        result.summary for result in simulated_as_shipped("injected-faults").values()
    )
    assert nothing.error_ratio == late.error_ratio == 0.0
    assert late.mean_ms - nothing.mean_ms == pytest.approx(8.0, abs=2.0)
    assert error.error_ratio == pytest.approx(0.1, abs=0.02)
    assert reset.error_ratio == error.error_ratio
    assert reset.throughput_rps == pytest.approx(0.9 * error.throughput_rps, rel=0.03)
