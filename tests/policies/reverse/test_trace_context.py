"""traceparent, by the rules of W3C Trace Context."""

import random
import re

import pytest

from policies.reverse.trace_context import follow

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Zeros(random.Random):
    def getrandbits(self, k):
        return 0


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
def test_only_a_valid_field_names_a_trace_and_a_parent(traceparent, trace):
    span = follow({"traceparent": traceparent}.get, random.Random(1))
    assert (span.trace == trace, span.parent == PARENT) == (trace is not None, trace is not None)
    assert trace is not None or span.parent == ""


def test_a_proxy_names_itself_as_the_parent_of_what_it_asks():
    rng = random.Random(1)
    one = follow({"traceparent": f"00-{TRACE}-{PARENT}-01"}.get, rng)
    two = follow({"traceparent": one.traceparent}.get, rng)
    assert one.span != PARENT
    assert (two.trace, two.parent) == (TRACE, one.span)
    assert one.traceparent == f"00-{TRACE}-{one.span}-01"


@pytest.mark.parametrize(("came", "goes_on"), [("00", "00"), ("01", "01"), ("ff", "01"), ("fe", "00")])
def test_of_the_flags_only_the_known_one_goes_on(came, goes_on):
    span = follow({"traceparent": f"00-{TRACE}-{PARENT}-{came}"}.get, random.Random(1))
    assert span.traceparent.endswith(f"-{goes_on}")


def test_without_one_a_new_trace_begins():
    rng = random.Random(1)
    one, two = follow({}.get, rng), follow({}.get, rng)
    assert one.trace != two.trace and one.span != two.span
    assert re.fullmatch(f"00-{one.trace}-{one.span}-00", one.traceparent)


@pytest.mark.parametrize("field", [{}, {"traceparent": f"00-{TRACE}-{PARENT}-01"}])
def test_no_id_is_ever_all_zeros(field):
    span = follow(field.get, Zeros())
    assert span.trace.strip("0") and span.span.strip("0")
    assert follow({"traceparent": span.traceparent}.get, Zeros()).parent == span.span
