"""LRU-K: what was asked for twice stays by its last but one request."""

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction import Lru, LruK


def test_objects_with_one_request_go_first_in_their_order(play) -> None:
    assert play("lru_k", 3, "a b c a d e") == "+a +b +c !a -b+d -c+e"


def test_the_last_but_one_request_counts_not_the_last(play) -> None:
    # a was asked for at 0 and 5, b at 1 and 2, c at 3 and 4: a's last but one is the oldest.
    assert play("lru_k", 3, "a b b c c a d") == "+a +b !b +c !c !a -a+d"


def test_what_was_evicted_keeps_its_history_for_a_while(play) -> None:
    # b has been here before, so that it now has two requests, and c, which has one, goes.
    assert play("lru_k", 2, "a a b c b d") == "+a !a +b -b+c -c+b -a+d"


def test_history_is_forgotten_beyond_as_many_keys_as_are_stored(play) -> None:
    # c and d pushed b out of memory, which remembers one key: b is new and goes before a.
    assert play("lru_k", 2, "a a b c d b e") == "+a !a +b -b+c -c+d -d+b -b+e"


STEPS = st.lists(st.tuples(st.sampled_from(["request"] * 4 + ["remove"]), st.integers(0, 8)), max_size=80)


class Plain:
    """LRU-K in the plainest way: all times of all keys, nothing forgotten, and a search."""

    def __init__(self, capacity: int, k: int) -> None:
        self.capacity, self.k = capacity, k
        self.times: dict[int, list[int]] = {}
        self.evicted: dict[int, list[int]] = {}

    def order(self, key: int) -> tuple[bool, int]:
        last = self.times[key][-self.k :]
        return len(last) == self.k, last[0]

    def request(self, key: int, now: int) -> bool:
        hit = key in self.times
        if not hit:
            if len(self.times) == self.capacity:
                victim = min(self.times, key=self.order)
                self.evicted[victim] = self.times.pop(victim)
            self.times[key] = self.evicted.pop(key, [])
        self.times[key].append(now)
        return hit


@settings(max_examples=200)
@given(steps=STEPS, capacity=st.integers(1, 5), k=st.integers(1, 3))
def test_it_equals_a_search_through_all_times(steps: list[tuple[str, int]], capacity: int, k: int) -> None:
    cache = type("Cache", (LruK,), {"K": k, "RETAINED": 1000})(capacity)
    plain = Plain(capacity, k)
    for now, (step, key) in enumerate(steps):
        if step == "remove":
            cache.remove(key)
            plain.times.pop(key, None)
            continue
        assert cache.request(key, 1, now) == plain.request(key, now)
        assert {key for key in range(9) if key in cache} == plain.times.keys()


@given(keys=st.lists(st.integers(0, 9), max_size=80), capacity=st.integers(1, 6))
def test_with_k_of_one_it_is_lru(keys: list[int], capacity: int) -> None:
    cache, lru = type("Cache", (LruK,), {"K": 1})(capacity), Lru(capacity)
    assert [cache.request(key, 1, 0.0) for key in keys] == [lru.request(key, 1, 0.0) for key in keys]
