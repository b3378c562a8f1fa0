"""ARC: what is asked for again is kept apart, and ghosts say which side needs more room."""

from policies.eviction import Arc


def test_objects_that_were_asked_for_once_go_first(play) -> None:
    assert play("arc", 3, "a b c a d e a") == "+a +b +c !a -b+d -c+e !a"


def test_objects_that_were_asked_for_again_are_lru_among_themselves(play) -> None:
    assert play("arc", 3, "a b c b a c d e") == "+a +b +c !b !a !c -b+d -d+e"


def test_a_ghost_comes_back_among_those_asked_for_again(play) -> None:
    # b is a ghost of the once queue. When it returns that queue's target becomes one, which d has:
    # e pushes out a, of the other queue. Then b, asked for again, outlives the scan.
    assert play("arc", 3, "a a b c d b e f g b") == "+a !a +b +c -b+d -c+b -a+e -d+f -e+g !b"


def shares(requests: str, capacity: int) -> list[float]:
    """The target after each request."""
    cache = Arc(capacity)
    targets = []
    for now, key in enumerate(requests.split()):
        cache.request(key, 1, now)
        targets.append(cache._target)
    return targets


def test_ghosts_shift_the_target_to_their_side() -> None:
    # b's ghost is of the once side: one step. Then d, asked for again, is evicted and comes back.
    targets = shares("a a b c d b", 3)
    assert targets == [0, 0, 0, 0, 0, 1]
    back_and_forth = shares("a a b b c d c a", 2)
    assert max(back_and_forth) == 1 and back_and_forth[-1] == 0


def test_as_long_as_nothing_was_asked_for_again_there_are_no_ghosts() -> None:
    assert shares("a b c d a b c d a", 3) == [0] * 9


def test_the_target_stays_within_the_capacity() -> None:
    cache = Arc(10)
    for now in range(3_000):
        cache.request(now * now % 37, 1 + now % 3, now)
        assert 0 <= cache._target <= 10


def test_data_and_ghosts_have_at_most_twice_the_capacity() -> None:
    cache = Arc(20)
    for now in range(5_000):
        cache.request((now * now + now // 7) % 101, 1 + now % 4, now)
        assert cache.used == cache._once.used + cache._again.used
        assert cache._once_ghosts.used + cache._again_ghosts.used + cache.used <= 2 * 20


def test_a_larger_ghost_shifts_the_target_by_its_size() -> None:
    cache = Arc(12)
    for now, (key, size) in enumerate([("a", 4), ("a", 4), ("b", 4), ("c", 4), ("d", 4), ("b", 4)]):
        cache.request(key, size, now)
    assert cache._target == 4


def test_a_removed_object_is_no_ghost(play) -> None:
    assert play("arc", 2, "a ~a b b a c d") == "+a ~a +b !b +a -a+c -c+d"
