"""Admission policies: no large objects, no new objects, or none less popular than the victim."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.admission import (
    Admission,
    Gated,
    SecondRequest,
    SizeLimit,
    TinyLfu,
    admission_policies,
    build_admission,
)
from policies.eviction import Popularity, eviction_policies


def test_the_shipped_policies_are_those_of_the_design() -> None:
    assert set(admission_policies.names()) == {"size", "second_request", "tinylfu"}


def test_a_size_limit_keeps_out_what_is_larger(play) -> None:
    assert play("lru", "size(4)", 10, "a4 b5 c1 b") == "+a x +c +b"


def test_a_stored_object_that_grew_beyond_the_limit_goes(play) -> None:
    assert play("lru", "size(4)", 10, "a4 b2 a5 b a") == "+a +b x !b +a"


def test_a_limit_is_written_with_a_unit() -> None:
    assert build_admission("size(64KiB)", 10**6).admits("a", 65536, False)
    assert not build_admission("size(64KiB)", 10**6).admits("a", 65537, False)
    assert isinstance(build_admission("size(1)", 0), SizeLimit)


def test_the_second_request_enters(play) -> None:
    assert play("lru", "second_request", 2, "a b a a b c c a") == "x x +a !a +b x -a+c x"


def test_what_was_refused_is_forgotten_beyond_the_capacitys_bytes() -> None:
    door = SecondRequest(10)
    refused = [door.admits(key, 4, False) for key in "abc"]
    assert refused == [False] * 3
    assert not door.admits("a", 4, False), "a was forgotten for c, and now b for a"
    assert door.admits("c", 4, False) and not door.admits("c", 4, False), "entering ends the memory"


def test_a_stored_object_may_always_be_stored_anew(play) -> None:
    assert play("lru", "second_request", 10, "a2 a2 a3 a") == "x +a +a !a"


def test_a_newcomer_must_be_more_popular_than_who_must_go(play) -> None:
    assert play("lru", "tinylfu", 2, "a b c c d d a") == "+a +b x -a+c x -b+d x"


def test_while_there_is_room_everyone_enters(play) -> None:
    assert play("lru", "tinylfu", 3, "a b c") == "+a +b +c"


def test_who_lost_the_policys_favour_stays_until_someone_better_comes(play) -> None:
    # c and d lose against a, so a stays and is a hit; then b is the next victim.
    assert play("lru", "tinylfu", 2, "a b c d a d b d d") == "+a +b x x !a -b+d x !d !d"


def test_all_who_must_go_for_a_large_object_must_be_less_popular_together(play) -> None:
    assert play("lru", "tinylfu", 4, "a2 b2 b c4 c4 c4 c4") == "+a +b !b x x x -a-b+c"


def test_one_popular_victim_does_not_turn_away_all_that_follow(play) -> None:
    # c needs the room of a and b, and loses against a; so a becomes the newest, and d displaces only b.
    assert play("lru", "tinylfu", 4, "a2 a b2 c4 d2 d2") == "+a !a +b x x -b+d"


def test_an_admission_policy_that_compares_one_by_one_need_not_know_of_several() -> None:
    class Alphabet(Admission):
        """The later letter is worth more."""

        duels = True

        def admits(self, key: str, size: int, stored: bool) -> bool:
            return True

        def prefers(self, key: str, victim: str) -> bool:
            return key > victim

    cache = Gated(eviction_policies["lru"](4), Alphabet(4))
    for key, size in [("b", 2), ("c", 1), ("d", 1)]:
        assert cache.insert(key, size, 0.0) == []
    assert cache.insert("a", 2, 0.0) == ["a"]
    assert cache.insert("x", 4, 0.0) == ["b", "c", "d"]


class Plain:
    """LRU behind TinyLFU in the plainest way: a list from old to new, whose first one duels."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.row, self.popularity = capacity, [], Popularity()

    def request(self, key: int) -> bool:
        hit = key in self.row
        self.popularity.add(key, len(self.row))
        if hit:
            self.row.remove(key)
        elif len(self.row) == self.capacity:
            if self.popularity[key] <= self.popularity[self.row[0]]:
                return False
            del self.row[0]
        self.row.append(key)
        return hit


@settings(max_examples=200)
@given(keys=st.lists(st.integers(0, 9), max_size=120), capacity=st.integers(1, 5))
def test_lru_behind_tinylfu_equals_a_plain_list(gated, keys: list[int], capacity: int) -> None:
    cache, plain = gated("lru", "tinylfu", capacity), Plain(capacity)
    for now, key in enumerate(keys):
        assert cache.request(key, 1, now) == plain.request(key)
        assert {key for key in range(10) if key in cache} == set(plain.row)


@pytest.mark.parametrize("policy", ["fifo", "lru", "random"])
def test_tinylfu_finds_more_than_an_open_door(policy: str, gated) -> None:
    chance = random.Random(3)
    keys = [int(2_000 * chance.random() ** 4) for _ in range(20_000)]
    guarded, plain = gated(policy, "tinylfu", 50), eviction_policies[policy](50)
    hits = [sum(cache.request(key, 1, 0.0) for key in keys) for cache in (guarded, plain)]
    assert hits[0] > 1.1 * hits[1]


WRONG = {
    "tinylf": "unknown admission policy 'tinylf' (did you mean 'tinylfu'?)",
    "tinylfu(3)": "tinylfu: expected nothing in parentheses, not '3'",
    "second_request()": "second_request: expected nothing in parentheses, not ''",
    "size": "size: expected a limit in parentheses, such as 'size(64KiB)'",
    "size(big)": "size: expected a size such as '8KiB', '64MiB' or a whole number of bytes, not 'big'",
    "": "expected an admission policy such as 'tinylfu' or 'size(64KiB)', not ''",
    "size(1": "expected an admission policy such as 'tinylfu' or 'size(64KiB)', not 'size(1'",
}


@pytest.mark.parametrize("written", WRONG)
def test_what_cannot_be_used_is_said(written: str) -> None:
    with pytest.raises(ValueError) as caught:
        build_admission(written, 100)
    assert str(caught.value) == WRONG[written]
    assert isinstance(build_admission("tinylfu", 100), TinyLfu)
