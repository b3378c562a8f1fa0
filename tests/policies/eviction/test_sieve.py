"""SIEVE: a hand moves from old to new, clears marks and evicts the first object without one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction import Sieve


def test_without_hits_it_is_fifo(play) -> None:
    assert play("sieve", 3, "a b c d e a") == "+a +b +c -a+d -b+e -c+a"


def test_the_hand_passes_marked_objects_and_stays_where_it_evicted(play) -> None:
    # The hand clears a and evicts b. Next it stands at c: a is safe for a whole round.
    assert play("sieve", 4, "a b c d a e f g h i") == "+a +b +c +d !a -b+e -c+f -d+g -e+h -f+i"


def test_the_hand_turns_to_the_oldest_after_the_newest(play) -> None:
    # c, the newest, is the only one without a mark.
    assert play("sieve", 3, "a b c a b d e") == "+a +b +c !a !b -c+d -a+e"


def test_if_all_are_marked_the_oldest_goes(play) -> None:
    assert play("sieve", 3, "a b c a b c d e f") == "+a +b +c !a !b !c -a+d -b+e -c+f"


def test_the_example_of_the_paper(play) -> None:
    # Figure 2 of the NSDI paper: H, A, D, I, B, J ask a cache that holds A to G with A, B and G marked.
    assert play("sieve", 7, "a b c d e f g a b g h a d i b j") == (
        "+a +b +c +d +e +f +g !a !b !g -c+h !a !d -e+i !b -f+j"
    )


def test_removing_the_object_under_the_hand_moves_the_hand_on(play) -> None:
    assert play("sieve", 4, "a b c d a e ~c f g") == "+a +b +c +d !a -b+e ~c +f -d+g"


def test_storing_an_object_anew_marks_it(play) -> None:
    assert play("sieve", 10, "a4 b4 a5 c5") == "+a +b =a -b+c"


class Row:
    """SIEVE in the plainest way: a list from old to new and the position of the hand."""

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.marked: set[int] = set()
        self.hand = 0

    def evict(self) -> None:
        while self.keys[self.hand] in self.marked:
            self.marked.remove(self.keys[self.hand])
            self.hand = (self.hand + 1) % len(self.keys)
        self.take(self.hand)

    def remove(self, key: int) -> None:
        self.take(self.keys.index(key))
        self.marked.discard(key)

    def take(self, position: int) -> None:
        del self.keys[position]
        self.hand -= position < self.hand
        if self.hand == len(self.keys):
            self.hand = 0


STEPS = st.lists(st.tuples(st.sampled_from(["request", "request", "request", "remove"]), st.integers(0, 8)))


@settings(max_examples=200)
@given(steps=STEPS, capacity=st.integers(1, 6))
def test_it_equals_a_plain_list_with_a_hand(steps: list[tuple[str, int]], capacity: int) -> None:
    cache, row = Sieve(capacity), Row()
    for now, (step, key) in enumerate(steps):
        if step == "remove":
            cache.remove(key)
            if key in row.keys:
                row.remove(key)
            continue
        hit = key in row.keys
        if hit:
            row.marked.add(key)
        else:
            if len(row.keys) == capacity:
                row.evict()
            row.keys.append(key)
        assert cache.request(key, 1, now) == hit
        assert {key for key in range(9) if key in cache} == set(row.keys)
