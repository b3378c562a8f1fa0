"""GDSF: hits per byte, and an inflation that lets old fame fade."""

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction import Gdsf


def test_the_largest_goes_first(play) -> None:
    assert play("gdsf", 10, "a2 b5 c3 d2") == "+a +b +c -b+d"


def test_requests_make_up_for_size(play) -> None:
    assert play("gdsf", 10, "a2 b5 b b c3 d2") == "+a +b !b !b +c -c+d"


def test_among_equals_the_least_recently_asked_goes_first(play) -> None:
    assert play("gdsf", 3, "a b c a b c d") == "+a +b +c !a !b !c -a+d"


def test_what_is_not_asked_for_any_more_falls_behind(play) -> None:
    # a has three requests; each eviction raises what newcomers begin with, until they pass it.
    assert play("gdsf", 2, "a a a b c d e f") == "+a !a !a +b -b+c -c+d -a+e -d+f"


def test_an_object_that_grew_is_worth_less(play) -> None:
    assert play("gdsf", 10, "a2 b3 a6 c4") == "+a +b =a -b+c"
    assert play("gdsf", 10, "a2 b3 a7 c2") == "+a +b =a -a+c"


STEPS = st.lists(
    st.tuples(st.sampled_from(["request"] * 4 + ["remove"]), st.integers(0, 8)), min_size=1, max_size=80
)


@settings(max_examples=200)
@given(steps=STEPS, sizes=st.lists(st.integers(1, 6), min_size=9, max_size=9), capacity=st.integers(6, 20))
def test_it_equals_a_search_through_all_values(
    steps: list[tuple[str, int]], sizes: list[int], capacity: int
) -> None:
    cache = Gdsf(capacity)
    value: dict[int, tuple[float, int]] = {}
    asked: dict[int, int] = {}
    inflation = 0.0
    for now, (step, key) in enumerate(steps):
        if step == "remove":
            cache.remove(key)
            value.pop(key, None)
            continue
        hit = key in value
        while not hit and sum(sizes[k] for k in value) + sizes[key] > capacity:
            victim = min(value, key=value.__getitem__)
            inflation = value.pop(victim)[0]
        asked[key] = asked[key] + 1 if hit else 1
        value[key] = (inflation + asked[key] / sizes[key], now)
        assert cache.request(key, sizes[key], now) == hit
        assert {key for key in range(9) if key in cache} == value.keys()
