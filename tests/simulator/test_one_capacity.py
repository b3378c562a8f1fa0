"""One meaning of capacity: `curve`, `simulate` and the real proxy's store agree to the last hit."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction import eviction_policies
from policies.http_cache.freshness import Answer, Request
from policies.http_cache.reuse import Use
from policies.settings import Cache
from realproxy.cache.entry import CacheEntry
from realproxy.cache.entry_headers import stored_head
from realproxy.cache.store import CacheStore
from scenarios import Scenario, load_scenario
from simulator import simulate
from twin.sweeps.curve import curves_of

SCENARIO = """
title = "one client at a time"
duration = "2000s"
warmup = "0s"
[workload]
trace = "{trace}"
[backend.web]
concurrency = 9
service_time = "1ms"
cache_control = "max-age=86400"
[proxy]
route = [{{ to = "web", cache = true }}]
service = {{ web = {{ upstreams = "web" }} }}
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    """`written(objects, sizes)`: the paths of a trace and of a scenario that replays it, and its bytes."""
    folder: Path = tmp_path_factory.mktemp("capacity")

    def write(objects: Sequence[int], sizes: Sequence[int]) -> tuple[Path, Path]:
        trace, scenario = folder / "trace.csv", folder / "scenario.toml"
        rows = [f"{number / 10:.1f},o{one},{sizes[one]}" for number, one in enumerate(objects)]
        trace.write_text("\n".join(["time_s,object,size_bytes", *rows]) + "\n")
        scenario.write_text(SCENARIO.format(trace=trace))
        return trace, scenario

    return write


def simulated_hits(scenario: Scenario) -> list[bool]:
    return simulate(scenario).records.hit.tolist()


def hits_of_the_real_store(cache: Cache, objects: Sequence[int], sizes: Sequence[int]) -> list[bool]:
    """The store of the real proxy, with the seed of the scenario."""
    store, hits = CacheStore(cache, random.Random("1/cache")), []
    for one in objects:
        key = b"web http://shop.test/%d" % one
        found = store.lookup(key, Request(), {}.get)
        hits.append(found.use is Use.FRESH)
        if found.use is not Use.FRESH:
            body, answer = bytes(sizes[one]), Answer(None, 2.0**40, kept=2.0**40)
            head = stored_head(200, b"OK", [(b"Content-Type", b"text/plain")], len(body))
            store.put(key, CacheEntry(200, b"OK", head, body, answer, 0.0), {}.get, 2.0**39)
    return hits


OBJECTS = st.lists(st.integers(0, 14), min_size=1, max_size=80)
SIZES = st.lists(st.integers(1, 900), min_size=15, max_size=15)


@settings(max_examples=60, deadline=None)
@given(
    objects=OBJECTS, sizes=SIZES, overhead=st.sampled_from([0, 0, 1, 512, 2_000]),
    capacity=st.integers(1_000, 9_000), policy=st.sampled_from(eviction_policies.names()),
)  # fmt: skip
def test_curve_simulate_and_the_real_store_agree_to_the_last_hit(
    written, objects: list[int], sizes: list[int], overhead: int, capacity: int, policy: str
) -> None:
    trace, path = written(objects, sizes)
    if min(sizes[one] for one in objects) + overhead > capacity:
        return
    room = {"policy": policy, "capacity": capacity, "overhead": overhead}
    predicted = simulated_hits(load_scenario(path, {"proxy.cache": room}).scenario)
    assert hits_of_the_real_store(Cache(**room), objects, sizes) == predicted
    curve = curves_of(trace, [policy], [capacity], overhead=overhead).table
    assert curve["hit_ratio"].item() == pytest.approx(sum(predicted) / len(objects), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    objects=OBJECTS, sizes=SIZES, most=st.integers(1, 6),
    policy=st.sampled_from(eviction_policies.names()),
    admission=st.sampled_from([None, "tinylfu", "second_request", "size(500)"]),
)  # fmt: skip
def test_simulate_and_the_real_store_agree_on_the_number_of_objects(
    written, objects: list[int], sizes: list[int], most: int, policy: str, admission: str | None
) -> None:
    _, path = written(objects, sizes)
    room = {"policy": policy, "capacity": 6_000, "objects": most, "admission": admission}
    predicted = simulated_hits(load_scenario(path, {"proxy.cache": room}).scenario)
    assert hits_of_the_real_store(Cache(**room), objects, sizes) == predicted


def test_what_goes_because_of_the_number_of_objects_is_said_in_one_line(written) -> None:
    _, path = written([0, 1, 2, 3, 0], [100] * 4)
    found = simulate(load_scenario(path, {"proxy.cache": {"objects": 2}}).scenario)
    assert found.cache_notes == [
        "proxy: 3 objects were evicted because the cache held as many as it may (cache.objects = 2), "
        "though their bytes fitted"
    ]


def test_what_is_larger_than_the_cache_is_said_in_one_line(written) -> None:
    _, path = written([0, 1, 0, 1, 0], [1_000, 100])
    found = simulate(load_scenario(path, {"proxy.cache": {"capacity": "1000B", "overhead": "1B"}}).scenario)
    assert found.cache_notes == [
        "proxy: 3 responses were not stored because they are larger than the cache (1000B)"
    ]
    assert simulate(load_scenario(path, {"proxy.cache": {"capacity": "1000B"}}).scenario).cache_notes == []


def test_several_workers_share_both_bounds() -> None:
    settings = {"proxy.workers": 4, "proxy.cache": {"capacity": "64KiB", "objects": 10}}
    cache = load_scenario("split-cache", {**settings, "compare": {}}).scenario.proxy.worker_cache
    assert (cache.capacity, cache.objects) == (16 * 1024, 2)


def test_the_default_number_of_objects_is_what_a_quarter_gibibyte_holds() -> None:
    assert Cache().objects * 1024 == 2**28
    assert Cache().overhead == 0
