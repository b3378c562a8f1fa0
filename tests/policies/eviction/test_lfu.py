"""LFU: what was asked for least often goes first, among equals what was asked for longest ago."""

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction import Lfu


def test_the_least_often_asked_goes_first(play) -> None:
    assert play("lfu", 3, "a a b b c d a b") == "+a !a +b !b +c -c+d !a !b"


def test_among_equals_the_least_recently_asked_goes_first(play) -> None:
    assert play("lfu", 3, "a b c b a c d e") == "+a +b +c !b !a !c -b+d -d+e"


def test_an_evicted_object_starts_again_from_one(play) -> None:
    # c needs all the room; then a, once asked for three times, has one request and b has two.
    assert play("lfu", 4, "a a a b2 c4 a b2 b d2") == "+a !a !a +b -b-a+c -c+a +b !b -a+d"


def test_storing_an_object_anew_counts_as_a_request(play) -> None:
    assert play("lfu", 10, "a4 b4 a5 c5") == "+a +b =a -b+c"


def test_several_counts_may_have_to_go_for_a_large_object(play) -> None:
    assert play("lfu", 10, "a3 a b3 c4 c c d9") == "+a !a +b +c !c !c -b-a-c+d"


def test_removing_the_only_least_asked_one_leaves_the_next(play) -> None:
    assert play("lfu", 3, "a b b b c c ~a d ~d e f") == "+a +b !b !b +c !c ~a +d ~d +e -e+f"


STEPS = st.lists(st.tuples(st.sampled_from(["request", "request", "request", "remove"]), st.integers(0, 8)))


@settings(max_examples=200)
@given(steps=STEPS, capacity=st.integers(1, 6))
def test_it_equals_a_search_through_all_counts(steps: list[tuple[str, int]], capacity: int) -> None:
    cache = Lfu(capacity)
    count_and_last: dict[int, tuple[int, int]] = {}
    for now, (step, key) in enumerate(steps):
        if step == "remove":
            cache.remove(key)
            count_and_last.pop(key, None)
            continue
        hit = key in count_and_last
        if not hit and len(count_and_last) == capacity:
            del count_and_last[min(count_and_last, key=lambda k: count_and_last[k])]
        count_and_last[key] = (count_and_last[key][0] + 1 if hit else 1, now)
        assert cache.request(key, 1, now) == hit
        assert {key for key in range(9) if key in cache} == count_and_last.keys()
