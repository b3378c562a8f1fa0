"""Clock: first in, first out, but a marked object is passed over once."""

from policies.eviction import Clock


def test_without_hits_it_is_fifo(play) -> None:
    assert play("clock", 3, "a b c d e a") == "+a +b +c -a+d -b+e -c+a"


def test_a_hit_saves_an_object_once_and_sends_it_to_the_end(play) -> None:
    assert play("clock", 3, "a b c a d e f g") == "+a +b +c !a -b+d -c+e -a+f -d+g"


def test_many_hits_save_no_longer_than_one(play) -> None:
    assert play("clock", 3, "a b c a a a d e f") == "+a +b +c !a !a !a -b+d -c+e -a+f"


def test_if_all_are_marked_the_oldest_goes(play) -> None:
    assert play("clock", 3, "a b c c b a d e") == "+a +b +c !c !b !a -a+d -b+e"


def test_storing_an_object_anew_marks_it(play) -> None:
    assert play("clock", 10, "a4 b4 a5 c5") == "+a +b =a -b+c"


def test_a_hit_moves_nothing() -> None:
    cache = Clock(3)
    for now, key in enumerate("abc"):
        cache.request(key, 1, now)
    before = list(cache._marked)
    cache.touch("a", 3.0)
    assert list(cache._marked) == before
