"""The store beside a model that keeps everything in a list: what it may say, and what it never may."""

import gc
import importlib.util
import random
import tracemalloc
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from policies.eviction import FREE_HEAD
from policies.http_cache.freshness import Answer, Request
from policies.http_cache.reuse import Use
from policies.http_cache.vary import variant_of
from policies.settings import Cache
from realproxy.cache.entry import CacheEntry
from realproxy.cache.entry_headers import stored_head
from realproxy.cache.purge import Purge
from realproxy.cache.store import GROUP_HEAD, VARIANT_HEAD, CacheStore

KEYS = st.sampled_from([b"web http://a/x/1", b"web http://a/y/1", b"web http://b/x/1"])
VALUES = st.sampled_from([None, "1", "2", "3"])
GROUPS = st.lists(st.sampled_from(["p", "q"]), unique=True).map(tuple)
CAPACITY, OVERHEAD = 5_000, 100


class Known:
    """An answer that the model has."""

    def __init__(self, key: bytes, stored: CacheEntry, value: str | None, varies: bool) -> None:
        self.key, self.stored, self.value, self.varies = key, stored, value, varies
        self.origin = key.split(b"/")[2]

    def fits(self, value: str | None) -> bool:
        return not self.varies or self.value == value


class StoreBesideModel(RuleBasedStateMachine):
    """The real store against every answer that was ever put into it and has not fallen."""

    def __init__(self) -> None:
        super().__init__()
        self.store = CacheStore(Cache(policy="lru", capacity=CAPACITY, overhead=OVERHEAD), random.Random(0))
        self.known: list[Known] = []
        self.count = 0

    def fall(self, falls) -> None:
        self.known = [one for one in self.known if not falls(one)]

    @rule(key=KEYS, value=VALUES, varies=st.booleans(), size=st.integers(0, 3_000), groups=GROUPS)
    def put(self, key: bytes, value: str | None, varies: bool, size: int, groups: tuple[str, ...]) -> None:
        self.count += 1
        asked = {"foo": value}.get
        said = {"vary": "foo" if varies else None}.get
        answer, body = Answer(None, 2.0**40, kept=2.0**40), b"%d:" % self.count + bytes(size)
        lines = [(b"X", bytes(random.Random(size).randint(0, 900)))]
        head = stored_head(200, b"OK", lines, len(body))
        stored = CacheEntry(200, b"OK", head, body, answer, 0.0, variant_of(said, asked), groups)
        self.fall(lambda one: one.key == key and (not varies or one.fits(value)))
        if self.store.put(key, stored, asked, since=2.0**40):
            self.known.append(Known(key, stored, value, varies))
        else:
            self.fall(lambda one: one.key == key)

    @rule(key=KEYS)
    def what_was_asked_for_before_a_change_is_not_stored_after_it(self, key: bytes) -> None:
        self.invalidate(key)
        stored = CacheEntry(
            200, b"OK", b"HTTP/1.1 200 OK\r\n", b"old", Answer(None, 2.0**40, kept=2.0**40), 0.0
        )
        assert not self.store.put(key, stored, {}.get, since=0.0)

    @rule(key=KEYS)
    def drop(self, key: bytes) -> None:
        self.store.discard(key)
        self.fall(lambda one: one.key == key)

    @rule(key=KEYS)
    def invalidate(self, key: bytes) -> None:
        """RFC 9875, 2.2.1: with what shares a group, as far as it is still stored."""
        contents, origin = self.store.contents(), key.split(b"/")[2]
        groups = {group for stored in contents.get(key, ()) for group in stored.groups}
        fallen = {other for other in contents if not groups.isdisjoint(self.groups_of(other))}
        self.store.invalidate(key)
        self.fall(lambda one: one.key == key or (one.origin == origin and one.key in fallen))

    @rule(key=KEYS, group=st.sampled_from(["p", "q"]))
    def invalidate_group(self, key: bytes, group: str) -> None:
        origin = key.split(b"/")[2]
        fallen = {other for other in self.store.contents() if group in self.groups_of(other)}
        self.store.invalidate_groups(key, [group])
        self.fall(lambda one: one.origin == origin and one.key in fallen)

    @rule(tag=st.sampled_from(["p", "q"]))
    def purge_tag(self, tag: str) -> None:
        fallen = {key for key in self.store.contents() if tag in self.groups_of(key)}
        assert self.store.purge(Purge(tag=tag)) == len(fallen)
        self.fall(lambda one: one.key in fallen)

    @rule(prefix=st.sampled_from([b"http://a/", b"http://a/x", b"http://"]))
    def purge_prefix(self, prefix: bytes) -> None:
        self.store.purge(Purge(prefix=prefix))
        self.fall(lambda one: one.key.partition(b" ")[2].startswith(prefix))

    def groups_of(self, key: bytes) -> set[str]:
        """All variants of a URI go together."""
        return {group for stored in self.store.contents().get(key, ()) for group in stored.groups}

    @rule(key=KEYS, value=VALUES)
    def look_up(self, key: bytes, value: str | None) -> None:
        found = self.store.lookup(key, Request(), {"foo": value}.get)
        if found.use is Use.FRESH:
            fitting = [one for one in self.known if one.key == key and one.fits(value)]
            assert found.entry is not None
            assert fitting, "it has fallen, and comes back"
            assert found.entry.body == fitting[-1].stored.body, "the latest that fits, never another one"

    @rule(key=KEYS)
    def lock_revalidation(self, key: bytes) -> None:
        assert self.store.lock_revalidation(key)
        assert not self.store.lock_revalidation(key)
        self.store.unlock_revalidation(key)

    @invariant()
    def never_larger_than_allowed_and_charged_to_the_byte(self) -> None:
        charged = 0
        for key, variants in self.store.contents().items():
            heads = -VARIANT_HEAD
            for stored in variants:
                charged += len(stored.body) + OVERHEAD
                heads += VARIANT_HEAD + len(stored.head) + len(key) + GROUP_HEAD * len(stored.groups)
                heads += sum(len(name + (value or "")) for name, value in stored.variant.fields)
            charged += max(0, heads - FREE_HEAD)
        assert charged == self.store.counts()["bytes"] <= CAPACITY


TestStoreBesideModel = StoreBesideModel.TestCase
TestStoreBesideModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_stored_object_costs_less_than_a_kibibyte_beyond_its_body():
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "store_memory.py"
    spec = importlib.util.spec_from_file_location("store_memory", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    store, objects = CacheStore(Cache(capacity=2**50), random.Random(1)), 1_500
    benchmark.fill(store, 1)
    gc.collect()
    tracemalloc.start()
    try:
        benchmark.fill(store, objects)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert store.counts()["objects"] == objects
    assert used / objects - benchmark.BODY < 1024
