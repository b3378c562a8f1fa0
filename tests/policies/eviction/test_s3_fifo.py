"""S3-FIFO: a small queue filters, a main queue gives second chances, ghosts remember.

With a capacity of 10, `small` has one object's room and `main` nine.
"""

import re

import pytest

FILL = "a b c d e f g h i j"
FILLED = "+a +b +c +d +e +f +g +h +i +j"
"""Then `a` is in `small`, and `b` to `j`, for which `small` had no room, are in `main`."""


@pytest.fixture
def play_filled(play):
    def then(requests: str) -> str:
        happened = play("s3_fifo", 10, f"{FILL} {requests}")
        assert happened.startswith(f"{FILLED} ")
        return happened.removeprefix(f"{FILLED} ")

    return then


def test_one_hit_wonders_fall_through_the_small_queue(play_filled) -> None:
    assert play_filled("k l m n b j") == "-a+k -k+l -l+m -m+n !b !j"


def test_one_hit_is_not_enough_to_reach_the_main_queue(play_filled) -> None:
    assert play_filled("k k l m") == "-a+k !k -k+l -l+m"


def test_two_hits_lead_to_the_main_queue(play_filled) -> None:
    # l needs room: k moves on to main, which then is over its share and gives up its oldest, b.
    assert play_filled("k k k l m k") == "-a+k !k !k -b+l -l+m !k"


def test_a_ghost_that_comes_back_enters_the_main_queue(play_filled) -> None:
    assert play_filled("k l k m n k") == "-a+k -k+l -l+k -b+m -m+n !k"


def test_a_hit_saves_an_object_from_leaving_the_main_queue_once(play_filled) -> None:
    # Each ghost that returns makes main give up one: b is passed over at first.
    assert play_filled("b k l k m l n m") == "!b -a+k -k+l -l+k -c+m -m+l -d+n -n+m"


def test_three_hits_are_as_good_as_five_and_better_than_two(play_filled) -> None:
    promoted = " ".join(f"{key} {key} {key}" for key in "klmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

    def victims_before_b(hits: int) -> int:
        victims = re.findall(r"-(\w)", play_filled(f"{'b ' * hits}{promoted}"))
        return victims.index("b")

    # In each round main's nine other objects go, those that came meanwhile too.
    assert [victims_before_b(hits) for hits in (0, 1, 2, 3, 5)] == [1, 10, 19, 28, 28]


def test_ghosts_are_forgotten_beyond_nine_tenths_of_the_bytes(play_filled) -> None:
    # The ghosts are a, k to r: nine. The next one, s, pushes out a, which then is new, yet k is known.
    wonders = "-a+k -k+l -l+m -m+n -n+o -o+p -p+q -q+r -r+s -s+t"
    assert play_filled("k l m n o p q r s t a u") == f"{wonders} -t+a -a+u"
    assert play_filled("k l m n o p q r s t l u") == f"{wonders} -t+l -b+u"


def test_a_removed_object_is_no_ghost(play_filled) -> None:
    assert play_filled("k ~k k l") == "-a+k ~k +k -k+l"


def test_the_main_queue_counts_an_object_that_grew_by_its_new_size(play_filled) -> None:
    # b grows to 3 in main, which then holds 10 of its 9 bytes, so that main must give, not small.
    assert play_filled("~c b3 a") == "~c -d=b !a"


def test_an_object_that_is_removed_gives_its_room_in_the_main_queue_back(play_filled) -> None:
    # k takes b's place in main, so that the next to go is m, of small.
    assert play_filled("~b k k k l m n") == "~b +k !k !k -a+l -l+m -m+n"


def test_an_object_larger_than_the_small_queue_passes_through_it(play) -> None:
    assert play("s3_fifo", 10, "a4 b4 c4 d4 e4") == "+a +b -a+c -c+d -d+e"
