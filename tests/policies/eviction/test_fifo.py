"""FIFO: what came first goes first."""


def test_the_first_in_is_the_first_out_and_hits_change_nothing(play) -> None:
    assert play("fifo", 3, "a b c a d a b") == "+a +b +c !a -a+d -b+a -c+b"


def test_large_objects_push_out_several_in_their_order(play) -> None:
    assert play("fifo", 10, "a2 b3 c5 d6 b e4") == "+a +b +c -a-b-c+d +b -d+e"


def test_an_object_that_is_stored_anew_keeps_its_place(play) -> None:
    assert play("fifo", 10, "a4 b4 a2 c6 d4") == "+a +b =a -a+c -b+d"


def test_an_object_that_grows_may_push_itself_out(play) -> None:
    assert play("fifo", 10, "a4 b4 b7 a4 b6") == "+a +b -a=b -b+a +b"


def test_a_removed_object_that_comes_back_queues_at_the_end(play) -> None:
    assert play("fifo", 3, "a b c ~a a d") == "+a +b +c ~a +a -b+d"
