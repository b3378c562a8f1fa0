"""The admission key of a proxy's settings, and the one cache that both twins build from it."""

import random

import pytest

from policies.admission import Gated
from policies.bad_input import BadInput
from policies.eviction import Lru
from policies.http_cache.index import build_cache
from policies.settings import Cache, parse_settings


def cache_settings(**keys: object) -> Cache:
    return parse_settings({"forward": {}, "cache": keys}).cache


def test_without_it_every_object_may_enter() -> None:
    settings = cache_settings(policy="lru", capacity="10MiB")
    assert settings.admission is None
    cache = build_cache(settings, random.Random(1))
    assert type(cache.eviction) is Lru and cache.eviction.capacity == 10 * 2**20


def test_a_door_before_the_policy() -> None:
    cache = build_cache(
        cache_settings(policy="lru", capacity=100, admission="second_request"), random.Random(1)
    )
    assert isinstance(cache.eviction, Gated) and type(cache.eviction.policy) is Lru
    assert not cache.store("/a", "a", 10, fresh_until=9.0, now=0.0)
    assert cache.lookup("/a", 0.0) is None
    assert cache.store("/a", "a", 10, fresh_until=9.0, now=0.0)
    assert cache.lookup("/a", 1.0) == "a"
    assert cache.lookup("/a", 9.0) is None and len(cache) == len(cache.eviction) == 0


def test_chance_is_the_callers() -> None:
    rng = random.Random(1)
    for admission in (None, "tinylfu"):
        cache = build_cache(cache_settings(policy="random", capacity=3, admission=admission), rng)
        assert cache.eviction.rng is rng


def test_mistakes_are_said_in_one_line() -> None:
    with pytest.raises(BadInput) as caught:
        cache_settings(admission="tinylof")
    assert str(caught.value) == (
        "settings: cache.admission: unknown admission policy 'tinylof' (did you mean 'tinylfu'?)"
    )


def test_it_survives_a_dump() -> None:
    settings = parse_settings({"forward": {}, "cache": {"admission": "size(64KiB)"}})
    assert parse_settings(settings.model_dump()) == settings
    assert settings.cache.admission == "size(64KiB)"
