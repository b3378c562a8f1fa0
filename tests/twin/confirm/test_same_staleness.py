"""Both twins decide alike what is fresh, what is stale but sent, and what the origin is asked for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.http_cache.freshness import read_answer, read_request
from policies.settings import Cache
from realproxy.cache import store as cache
from realproxy.cache.entry import CacheEntry
from scenarios.workload import Request
from simulator.routes import Reply
from simulator.store import Store

KEY = b"web http://shop.test/objects/7"

directives = st.lists(
    st.one_of(
        st.sampled_from(["no-cache", "must-revalidate", "public", "no-store", "private"]),
        st.builds("{}={}".format, st.sampled_from(
            ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"]), st.integers(0, 8)),
    ), max_size=4,
).map(", ".join)  # fmt: skip


def header(said: str):
    return {"cache-control": said}.get


@settings(max_examples=50, deadline=None)
@given(said=directives, gaps=st.lists(st.floats(0.01, 6.0), min_size=1, max_size=12))
def test_both_stores_say_the_same_at_any_time(said: str, gaps: list[float]) -> None:
    now = 1000.0
    plain = read_request("GET", header(""))
    answer = read_answer(200, header(said), plain, False, 2.0, now, 0.0, stale=3.0, targeted=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache.time, "monotonic", lambda: now)
        real = cache.CacheStore(Cache(policy="lru"), random.Random(1))
        model = Store(Cache(policy="lru"), random.Random(1))
        if answer.reason is None:
            real.put(
                KEY, CacheEntry(200, b"OK", b"HTTP/1.1 200 OK\r\n", b"x" * 10, answer, now), header(""), now
            )
            model.put(Request(0.0, 7, 10, (), "127.0.0.1"), answer, Reply(200), now)
        for gap in gaps:
            now += gap
            use, _copy = model.lookup(7, now)
            assert real.lookup(KEY, plain, header("")).use is use
