"""The header of SOCKS5 datagrams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy.socks import read_datagram, wrap_datagram

hosts = st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){0,3}", fullmatch=True) | st.ip_addresses(v=4).map(str)


@given(hosts, st.integers(1, 65535), st.binary(max_size=100))
def test_what_is_wrapped_is_read(host, port, data):
    assert read_datagram(wrap_datagram(host, port, data)) == ((host, port), data)


@given(st.binary(max_size=60))
def test_no_packet_is_an_error(packet):
    read_datagram(packet)
    read_datagram(b"\0\0\0" + packet)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0\0\0",
        b"\0\0\x01\x01\x7f\0\0\1\0\x35first fragment",
        b"\0\0\x81\x01\x7f\0\0\1\0\x35last fragment",
        b"\0\x01\0\x01\x7f\0\0\1\0\x35reserved",
        b"\0\0\0\x02\x7f\0\0\1\0\x35type",
        b"\0\0\0\x01\x7f\0\0\1\0\0port",
        b"\0\0\0\x01\x7f\0\0",
        b"\0\0\0\x03\x05ab",
    ],
)
def test_fragments_and_nonsense_are_dropped(packet):
    assert read_datagram(packet) is None
