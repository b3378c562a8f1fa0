"""W-TinyLFU: a window, a duel, a segmented main cache; and how popularity is counted."""

from policies.eviction import Popularity, WTinyLfu


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


def test_an_object_larger_than_window_or_main_passes_through(play) -> None:
    assert play("w_tinylfu", 10, "a10 b10 c4 d4") == "+a -a+b -b+c +d"


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
