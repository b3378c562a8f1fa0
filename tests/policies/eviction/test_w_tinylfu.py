"""W-TinyLFU: a window, a duel, a segmented main cache; and how popularity is counted."""

from collections.abc import Callable, Hashable

import pytest

from policies.eviction import Popularity, WTinyLfu
from policies.eviction.slru import Segments


def test_a_newcomer_that_was_asked_for_less_often_loses_the_duel(play) -> None:
    # The window has one object's room. d duels with a, which was asked for as often: d goes.
    assert play("w_tinylfu", 4, "a b c d e f") == "+a +b +c +d -d+e -e+f"


def test_one_that_was_asked_for_more_often_wins_it(play) -> None:
    assert play("w_tinylfu", 4, "a b c d d e f") == "+a +b +c +d !d -a+e -e+f"


def test_fame_outlives_eviction(play) -> None:
    # e was evicted, comes again and now has two requests: enough to win against a.
    assert play("w_tinylfu", 4, "a b c d e f e g") == "+a +b +c +d -d+e -e+f -f+e -a+g"


def test_hits_protect_from_the_duel(play) -> None:
    # a, with two requests, wins against b; then e, asked for twice, against c.
    assert play("w_tinylfu", 4, "a b c d a e e f") == "+a +b +c +d !a -b+e !e -c+f"


def test_a_scan_cannot_push_out_what_is_popular() -> None:
    cache = WTinyLfu(100)
    for now in range(500):
        cache.request(now % 99, 1, now)
    for now in range(500, 1_500):
        cache.request(1000 + now, 1, now)
    assert sum(key in cache for key in range(99)) >= 98


def test_an_object_larger_than_the_window_competes_at_once(play) -> None:
    # The window has two objects' room. e loses against d, and wins at its second request.
    assert play("w_tinylfu", 200, "a2 a c90 c d95 e96 e96") == "+a !a +c !c +d -e -d+e"


def test_what_is_larger_than_main_may_have_an_empty_cache_only(play) -> None:
    assert play("w_tinylfu", 10, "a10 b10 ~a b10 ~b c4 d4 b10") == "+a -b ~a +b ~b +c +d -b"


@pytest.fixture
def duel() -> Callable[..., tuple[bool, list[Hashable]]]:
    """`duel({"a": (30, 2)}, (60, 3))`: does a newcomer of 60 bytes and 3 requests win; main, oldest first.

    Main is full with objects of so many bytes and requests, all in its lower segment.
    """

    def outcome(stored: dict[str, tuple[int, int]], newcomer: tuple[int, int]) -> tuple[bool, list[Hashable]]:
        cache = WTinyLfu(sum(size for size, _ in stored.values()) + 1)
        cache._main = Segments([cache._main_capacity, 0])
        for key, (size, requests) in {**stored, "new": newcomer}.items():
            cache._sizes[key] = size
            (cache._window if key == "new" else cache._main).push(key, size)
            for _ in range(requests):
                cache._popularity.add(key, 100)
        return cache._wins("new", newcomer[0]), [key for key, _ in cache._main.oldest_first()]

    return outcome


def test_a_large_object_needs_as_many_requests_as_all_that_it_displaces_together(duel) -> None:
    stored = {"a": (30, 2), "b": (30, 2), "c": (40, 9)}
    assert duel(stored, (60, 4)) == (True, ["a", "b", "c"])
    assert not duel(stored, (60, 3))[0]
    assert not duel(stored, (61, 12))[0], "c must go, too"
    assert duel(stored, (61, 13))[0]
    assert not duel(stored, (101, 15))[0], "larger than main"


def test_who_is_spared_by_an_object_of_another_size_moves_up(duel) -> None:
    """So that one popular object does not turn away every newcomer after it."""
    stored = {"a": (30, 2), "b": (30, 2), "c": (40, 9)}
    assert duel(stored, (60, 3)) == (False, ["c", "a", "b"])
    assert duel(stored, (20, 1)) == (False, ["b", "c", "a"])


def test_between_equal_sizes_the_newcomer_must_be_more_popular_and_nobody_moves(duel) -> None:
    stored = {"a": (30, 2), "b": (30, 2), "c": (40, 9)}
    assert duel(stored, (30, 2)) == (False, ["a", "b", "c"])
    assert duel(stored, (30, 3)) == (True, ["a", "b", "c"])


def test_between_different_sizes_a_tie_is_the_newcomers(duel) -> None:
    assert duel({"a": (30, 2), "b": (70, 2)}, (29, 2))[0]


def test_the_byte_counts_of_window_and_main_are_those_of_their_objects() -> None:
    cache = WTinyLfu(300)
    for now in range(4_000):
        key = now * now % 97
        if now % 11 == 0:
            cache.remove(key)
        else:
            cache.insert(key, 1 + (key + now) % 9, now)
        assert cache.used == cache._window.used + cache._main.used <= 300
        assert cache._main.used <= 297 or now % 2


def test_popularity_counts_up_to_fifteen() -> None:
    popularity = Popularity()
    for _ in range(40):
        popularity.add("a", stored=1_000)
    assert (popularity["a"], popularity["b"]) == (15, 0)


def test_popularity_is_halved_after_sixteen_requests_for_each_stored_object() -> None:
    popularity = Popularity()
    for number in range(16 * 50):
        popularity.add("a" if number < 6 else f"other {number}", stored=50)
    assert popularity["a"] == 3, "six, halved once"
    assert popularity["other 100"] == 0, "one, halved, is nothing"


def test_popularity_remembers_a_bounded_number_of_keys() -> None:
    popularity = Popularity()
    for number in range(100_000):
        popularity.add(number, stored=100)
    assert len(popularity._count) <= 16 * 100
