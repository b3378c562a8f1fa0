"""2Q: the first time through a queue, the second time into LRU.

With a capacity of 8, `inbox` has a share of two, `outbox` remembers four.
"""

import pytest

FILL = "a b c d e f g h"
FILLED = "+a +b +c +d +e +f +g +h"
"""Then all are in `inbox`, which has more than its share as long as nothing came again."""


@pytest.fixture
def play_filled(play):
    def then(requests: str) -> str:
        happened = play("two_q", 8, f"{FILL} {requests}")
        assert happened.startswith(f"{FILLED} ")
        return happened.removeprefix(f"{FILLED} ")

    return then


def test_new_objects_leave_in_their_order_and_hits_change_nothing(play_filled) -> None:
    assert play_filled("a a i j") == "!a !a -a+i -b+j"


def test_what_comes_again_after_it_left_is_safe_from_scans(play_filled) -> None:
    assert play_filled("i a j k l m n o a") == "-a+i -b+a -c+j -d+k -e+l -f+m -g+n -h+o !a"


def test_the_main_queue_is_lru_and_gives_when_the_inbox_has_its_share(play_filled) -> None:
    # Six returns shrink the inbox to h and i; then the main queue gives, first what was asked longest ago.
    came = "-a+i -b+a -c+b -d+c -e+d -f+e -g+f"
    assert play_filled("i a b c d e f a o p q") == f"{came} !a -b+o -h+p -i+q"


def test_the_outbox_forgets_what_left_longest_ago(play_filled) -> None:
    # a to e leave; four are remembered: a is new again, e is not and enters main, safe from the scan.
    assert play_filled("i j k l m a e") == "-a+i -b+j -c+k -d+l -e+m -f+a -g+e"
    assert play_filled("i j k l m a e n o p q r s t e").endswith(" -m+s -a+t !e")


def test_a_removed_object_is_not_remembered(play_filled) -> None:
    assert play_filled("~a i a b") == "~a +i -b+a -c+b"


def test_an_object_larger_than_the_inbox_passes_through_it(play) -> None:
    assert play("two_q", 8, "a6 b1 a c6") == "+a +b !a -a+c"


def test_the_main_queue_counts_an_object_that_grew_by_its_new_size(play) -> None:
    assert play("two_q", 8, "a4 b4 c4 a4 a8 d1") == "+a +b -a+c -b+a -c=a -a+d"
