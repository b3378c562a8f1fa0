"""Bodies: their end is found wherever the bytes are cut, and bad chunks are refused."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy.http1 import CHUNKED, UNTIL_CLOSE, Malformed, body_reader


def read(framing: int, data: bytes, cuts: list[int], limit: int = 4096):
    """Body, rest, trailer lines and whether it is done, with `data` fed in pieces."""
    reader = body_reader(framing, limit)
    body, rest, start = b"", b"", 0
    for end in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        if reader.done:
            rest += data[start:end]
        else:
            body += b"".join(bytes(piece) for piece in reader.feed(memoryview(data)[start:end]))
            rest += reader.rest
        start = end
    return body, rest, list(reader.trailer.lines) if reader.trailer else [], reader.done


CUTS = st.lists(st.integers(0, 400), max_size=30)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=20), st.booleans(), CUTS)
def test_chunks_are_read_alike_however_they_are_cut(chunks, rest, trailed, cuts):
    coded = b"".join(b'%X;a="b"\r\n%b\r\n' % (len(chunk), chunk) for chunk in chunks)
    trailer = b"X: 1\r\nY: 2\r\n" if trailed else b""
    body, left, lines, done = read(CHUNKED, coded + b"0\r\n" + trailer + b"\r\n" + rest, cuts)
    assert (body, left, done) == (b"".join(chunks), rest, True)
    assert lines == ([(b"X", b"1"), (b"Y", b"2")] if trailed else [])


@given(st.binary(max_size=100), st.binary(max_size=20), CUTS)
def test_a_length_is_read_alike_however_it_is_cut(body, rest, cuts):
    assert read(len(body), body + rest, cuts) == (body, rest, [], True)


@given(st.binary(max_size=300), CUTS)
def test_a_body_until_the_end_takes_everything(data, cuts):
    assert read(UNTIL_CLOSE, data, cuts)[:2] == (data, b"")
    reader = body_reader(UNTIL_CLOSE, 100)
    assert reader.end()
    assert reader.done


def test_the_end_of_the_connection_does_not_end_other_bodies():
    assert not body_reader(5, 100).end()
    assert not body_reader(CHUNKED, 100).end()
    assert body_reader(0, 100).end()


BAD_CHUNKS = {
    "no size": b"\r\nabc\r\n",
    "not hexadecimal": b"g\r\nabc\r\n",
    "signed": b"+3\r\nabc\r\n",
    "prefixed": b"0x3\r\nabc\r\n",
    "space before": b" 3\r\nabc\r\n",
    "space after": b"3 \r\nabc\r\n",
    "bare LF": b"3\nabc\r\n",
    "bare CR in an extension": b"3;a\rb\r\nabc\r\n",
    "NUL in an extension": b"3;\0\r\nabc\r\n",
    "too many digits": b"0" * 16 + b"3\r\nabc\r\n",
    "longer than its size": b"3\r\nabcd\r\n",
    "no CRLF behind it": b"3\r\nabc3\r\nabc\r\n",
    "LF behind it": b"3\r\nabc\n0\r\n\r\n",
    "endless extension": b"3;" + b"a" * 5000,
    "extension a byte too long": b"3;" + b"a" * 1021 + b"\r\nabc\r\n0\r\n\r\n",
    "later extension a byte too long": b"3\r\nabc\r\n3;" + b"a" * 1021 + b"\r\nabc\r\n0\r\n\r\n",
    "bad trailer": b"0\r\nX : 1\r\n\r\n",
    "folded trailer": b"0\r\nX: 1\r\n 2\r\n\r\n",
    "endless trailer": b"0\r\nX: " + b"a" * 5000,
    "long trailer": b"0\r\nX: " + b"a" * 5000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
@given(cuts=CUTS)
def test_bad_chunks_are_refused_however_they_are_cut(data, cuts):
    with pytest.raises(Malformed) as refusal:
        read(CHUNKED, data, cuts)
    assert refusal.value.status == 400


@given(CUTS)
def test_an_extension_as_long_as_it_may_be_is_passed_over_however_it_is_cut(cuts):
    line = b";" + b"a" * 1020 + b"\r\n"
    data = b"5" + line + b"hello\r\n5" + line + b"hello\r\n0" + line + b"\r\n"
    assert read(CHUNKED, data, [*cuts, *(1020 + cut for cut in cuts)])[0] == b"hellohello"


@given(st.binary(max_size=60), CUTS)
def test_what_is_accepted_is_what_h11_reads(noise, cuts):
    data = b"5\r\nhello\r\n" + noise + b"0\r\n\r\n"
    try:
        body, _, _, done = read(CHUNKED, data, cuts)
    except Malformed:
        return
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    theirs, event = b"", None
    while event not in (h11.NEED_DATA, h11.PAUSED):
        event = peer.next_event()
        theirs += bytes(event.data) if isinstance(event, h11.Data) else b""
        if isinstance(event, h11.EndOfMessage):
            break
    assert theirs == body
    assert done is isinstance(event, h11.EndOfMessage)
