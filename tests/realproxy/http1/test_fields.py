"""Field lines are read by short rules; these are the rules of the RFC, written out."""

import re

from hypothesis import given
from hypothesis import strategies as st

from realproxy.http1 import Malformed
from realproxy.http1.fields import TOKEN, parse_fields

# RFC 9112, 5 and RFC 9110, 5.5: field-name ":" OWS field-value OWS
CONTENT = rb"[!-~\x80-\xff]+(?:[ \t]+[!-~\x80-\xff]+)*"
LINE = re.compile(rb"(" + TOKEN + rb"+):[ \t]*((?:" + CONTENT + rb")?)[ \t]*")
PIECES = [
    b"a",
    b"B-",
    b":",
    b" ",
    b"\t",
    b"\r\n",
    b"\r",
    b"\n",
    b"\x00",
    b"\x7f",
    b"\xe9",
    b"\x85",
    b'"',
    b"(",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
def test_a_block_is_what_the_grammar_says_or_is_refused(block):
    block += b"\r\n"
    *lines, rest = block.split(b"\r\n")
    found = [LINE.fullmatch(line) for line in lines]
    try:
        read = parse_fields(b"??" + block + b"??", 2, 2 + len(block))
    except Malformed as refusal:
        assert None in found and refusal.status == 400
    else:
        assert rest == b"" and read.lines == tuple((line[1], line[2]) for line in found if line)
        assert len(read.lines) == len(lines)
