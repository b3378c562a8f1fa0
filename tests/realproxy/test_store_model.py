"""The store beside a model that keeps everything in a list: what it may say, and what it never may."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from policies.freshness import Answer, Request
from policies.reuse import Use
from policies.settings import Cache
from policies.variants import variant_of
from realproxy.cache import Store
from realproxy.stored import Stored

KEYS = st.sampled_from([b"web http://a/", b"web http://b/"])
VALUES = st.sampled_from([None, "1", "2", "3"])
CAPACITY = 5_000


class StoreBesideModel(RuleBasedStateMachine):
    """The real store against every answer that was ever put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(Cache(policy="lru", capacity=CAPACITY), random.Random(0))
        self.latest: dict[tuple[bytes, str | None], bytes] = {}
        self.count = 0
        self.born = 0.0

    @rule(key=KEYS, value=VALUES, varies=st.booleans(), size=st.integers(0, 3_000))
    def put(self, key: bytes, value: str | None, varies: bool, size: int) -> None:
        self.count += 1
        body = b"%d:" % self.count + bytes(size)
        asked = {"foo": value}.get
        said = {"vary": "foo" if varies else None}.get
        stored = Stored(
            200, b"OK", [], body, Answer(None, 2.0**40, kept=2.0**40), 0.0, variant_of(said, asked)
        )
        for other in (None, "1", "2", "3"):
            if not varies or other == value:
                self.latest[key, other] = body
        if not self.store.put(key, stored, asked, since=2.0**40):
            self.drop(key)

    @rule(key=KEYS)
    def drop(self, key: bytes) -> None:
        self.store.discard(key)
        for known in list(self.latest):
            if known[0] == key:
                del self.latest[known]

    @rule(key=KEYS)
    def invalidate(self, key: bytes) -> None:
        self.store.invalidate(key)
        self.drop(key)

    @rule(key=KEYS, value=VALUES)
    def look_up(self, key: bytes, value: str | None) -> None:
        found = self.store.lookup(key, Request(), {"foo": value}.get)
        if found.use is Use.FRESH:
            assert found.stored is not None
            assert found.stored.body == self.latest[key, value], "the latest that fits, never another one"

    @rule(key=KEYS)
    def claim(self, key: bytes) -> None:
        assert self.store.claim(key)
        assert not self.store.claim(key)
        self.store.disclaim(key)

    @invariant()
    def never_larger_than_allowed(self) -> None:
        assert self.store.counts()["bytes"] <= CAPACITY


TestStoreBesideModel = StoreBesideModel.TestCase
TestStoreBesideModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
