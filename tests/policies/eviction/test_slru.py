"""SLRU: hits lift an object from segment to segment, overflow lets it sink.

With a capacity of 8, each of the four segments has room for two.
"""

import pytest

FILL = "a b c d e f g h"
FILLED = "+a +b +c +d +e +f +g +h"
"""Then `a` and `b` are in the lowest segment and `g` and `h` in the highest."""


@pytest.fixture
def play_filled(play):
    def then(requests: str) -> str:
        happened = play("slru", 8, f"{FILL} {requests}")
        assert happened.startswith(f"{FILLED} ")
        return happened.removeprefix(f"{FILLED} ")

    return then


def test_a_scan_passes_through_the_lowest_segment_only(play_filled) -> None:
    assert play_filled("i j k l c d e f g h") == "-a+i -b+j -i+k -j+l !c !d !e !f !g !h"


def test_a_hit_lifts_by_one_and_the_next_segments_oldest_sinks(play_filled) -> None:
    # a rises to the second segment, from which c sinks: b, then c are next to go.
    assert play_filled("a i j k") == "!a -b+i -c+j -i+k"


def test_what_sinks_is_newer_than_what_was_there(play_filled) -> None:
    # a, then b rise and c, then d sink: what comes leaves before neither.
    assert play_filled("a b i j k") == "!a !b -c+i -d+j -i+k"


def test_in_the_highest_segment_it_is_lru(play_filled) -> None:
    # g is asked for: h is the oldest above, and sinks when e rises from the third segment.
    lifted = play_filled("g e f")
    assert lifted == "!g !e !f"


def test_an_object_that_grew_makes_its_segments_oldest_sink(play) -> None:
    # With 16 a segment has 4 bytes. c grows in the second one, d sinks and goes before it.
    assert play("slru", 16, "a2 b2 c2 d2 c4 e8 f6") == "+a +b +c +d =c -a+e -b-d-e+f"


def test_removal_from_any_segment_leaves_the_others(play_filled) -> None:
    assert play_filled("~a ~h i j k") == "~a ~h +i +j -b+k"
