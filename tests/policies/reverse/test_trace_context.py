"""traceparent, by the rules of W3C Trace Context."""

import random

import pytest

from policies.reverse.trace_context import follow, new_trace, trace_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", TRACE),  # 3.2.4: later versions may be longer
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        (f"00-{TRACE[1:]}-{PARENT}-01", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_valid_field_names_a_trace(traceparent, trace):
    assert trace_of(traceparent) == trace


def test_a_valid_one_goes_on_as_it_is():
    assert follow({"traceparent": f"00-{TRACE}-{PARENT}-01"}.get, random.Random(1)) == (TRACE, None)


def test_without_one_a_new_trace_begins():
    rng = random.Random(1)
    trace, traceparent = follow({}.get, rng)
    assert trace_of(traceparent) == trace
    assert new_trace(rng)[0] != trace


def test_neither_id_is_ever_all_zeros():
    class Zeros(random.Random):
        def getrandbits(self, k):
            return 0

    trace, traceparent = new_trace(Zeros())
    assert trace_of(traceparent) == trace
