"""The PROXY protocol: what is read from a header, what is refused, and what is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy import Limits, Match, Route, Service
from realproxy.net.proxy_protocol import (
    SIGNATURE,
    BadHeader,
    Header,
    crc32c,
    header_v1,
    header_v2,
    read_header,
)

CLIENT, SERVER = ("203.0.113.7", 40000), ("198.51.100.1", 443)
ADDRESSES4 = bytes((203, 0, 113, 7, 198, 51, 100, 1)) + (40000).to_bytes(2) + (443).to_bytes(2)


def v2(command: int = 0x21, family: int = 0x11, body: bytes = ADDRESSES4, size: int | None = None) -> bytes:
    return SIGNATURE + bytes((command, family)) + (len(body) if size is None else size).to_bytes(2) + body


def entry(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2) + value


def with_checksum(wrong: int = 0) -> bytes:
    plain = v2(body=ADDRESSES4 + entry(3, bytes(4)))
    return plain[:-4] + (crc32c(plain) ^ wrong).to_bytes(4)


UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")
LONGEST = (
    "PROXY TCP6 "
    + " ".join(["ffff:f...f:ffff".replace("f...f", ":".join(["ffff"] * 6))] * 2)
    + " 65535 65535\r\n"
)

GOOD = {
    "v1, IPv4": (header_v1(CLIENT, SERVER), CLIENT),
    "v1, IPv6": (b"PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n", ("2001:db8::1", 1)),
    "v1, the longest": (LONGEST.encode(), ("ffff:" * 7 + "ffff", 65535)),
    "v1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1, unknown with anything": (b"PROXY UNKNOWN ffff::1 what ever\r\n", None),
    "v1, IPv4 inside IPv6": (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 9 9\r\n", ("203.0.113.7", 9)),
    "v2, IPv4": (v2(), CLIENT),
    "v2, IPv6": (header_v2(("2001:db8::1", 5), ("::1", 6)), ("2001:db8::1", 5)),
    "v2, LOCAL": (v2(0x20, 0x00, b""), None),
    "v2, LOCAL with addresses": (v2(0x20), None),
    "v2, LOCAL with rubbish": (v2(0x20, 0x11, b"abc"), None),
    "v2, LOCAL of a family that is not known": (v2(0x20, 0x51), None),
    "v2, LOCAL of a transport that is not known": (v2(0x20, 0x13), None),
    "v2, LOCAL of nothing that is known": (v2(0x20, 0xFF, b"\x03\x00"), None),
    "v2, unspecified": (v2(0x21, 0x00, b""), None),
    "v2, Unix": (v2(0x21, 0x31, UNIX), None),
    "v2, datagrams": (v2(0x21, 0x12), None),
    "v2, entries": (v2(body=ADDRESSES4 + entry(1, b"h2") + entry(4, b"")), CLIENT),
    "v2, checksum": (with_checksum(), CLIENT),
}

BAD = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00",
    "v1, lower case": b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1, two spaces": b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1, trailing space": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
    "v1, a tab": b"PROXY TCP4\t1.1.1.1 2.2.2.2 1 2\r\n",
    "v1, wrong family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "v1, other wrong family": b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1, UDP": b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1, no ports": b"PROXY TCP4 1.1.1.1 2.2.2.2\r\n",
    "v1, port too large": b"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
    "v1, port with zeros": b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
    "v1, signed port": b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
    "v1, address with zeros": b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
    "v1, address too large": b"PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n",
    "v1, a name": b"PROXY TCP4 shop.test 2.2.2.2 1 2\r\n",
    "v1, a scope": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "v1, bare LF": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
    "v1, UNKNOWNISH": b"PROXY UNKNOWNX\r\n",
    "v1, endless": b"PROXY UNKNOWN " + b"x" * 93,
    "v2, version 1": v2(0x11),
    "v2, version 3": v2(0x31),
    "v2, command 2": v2(0x22),
    "v2, family 4": v2(0x21, 0x41),
    "v2, transport 3": v2(0x21, 0x13),
    "v2, too short": v2(body=ADDRESSES4[:-1]),
    "v2, IPv6 too short": v2(0x21, 0x21, ADDRESSES4),
    "v2, too long": v2(body=b"", size=5000),
    "v2, half an entry": v2(body=ADDRESSES4 + b"\x01\x00"),
    "v2, entry too long": v2(body=ADDRESSES4 + b"\x01\x00\x05abcd"),
    "v2, wrong checksum": with_checksum(wrong=1),
    "v2, short checksum": v2(body=ADDRESSES4 + entry(3, b"ab")),
    "v2, broken signature": SIGNATURE[:-1] + b"\r" + v2()[12:],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_is_read_when_it_is_whole_and_not_before(name: str) -> None:
    data, source = GOOD[name]
    assert all(read_header(data[:size]) is None for size in range(len(data)))
    for rest in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\r\n"):
        assert read_header(data + rest) == Header(len(data), source)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_is_refused(name: str) -> None:
    with pytest.raises(BadHeader):
        read_header(BAD[name] + b"more")


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: b"PROXY TCP4 " + tail)
       | st.binary(max_size=60).map(lambda tail: SIGNATURE + tail))  # fmt: skip
def test_byte_by_byte_or_in_one_piece_makes_no_difference(data: bytes) -> None:
    def outcome(piece: bytes) -> Header | str | None:
        try:
            return read_header(piece)
        except BadHeader:
            return "refused"

    first = next((found for size in range(len(data)) if (found := outcome(data[:size])) is not None), None)
    assert first is None or outcome(data) == first


hosts = st.ip_addresses().map(str)
endpoints = st.tuples(hosts, st.integers(0, 65535))


@given(endpoints, endpoints, st.sampled_from([header_v1, header_v2]))
def test_what_is_written_is_read_again(source, target, write) -> None:
    header = write(source, target)
    mapped = getattr(ipaddress.ip_address(source[0]), "ipv4_mapped", None)
    assert read_header(header + b"rest") == Header(len(header), (str(mapped or source[0]), source[1]))
    assert write is header_v2 or len(header) <= 107


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


# --- on the HTTP listener ----------------------------------------------------------------------


def test_routes_and_upstreams_see_the_client_that_a_trusted_proxy_names(origin, serve, wire):
    server = origin()
    proxy = serve(
        proxy_protocol={"from": ["127.0.0.1"]},
        route=[Route(when=Match(client="203.0.113.0/24"), to="web"), Route(respond=418)],
        service={"web": Service(upstreams=server.address)},
    )
    named = wire(proxy)
    for byte in header_v1(CLIENT, SERVER):
        named.send(bytes((byte,)))
    for _ in range(2):
        assert named.ask().body == b"hello"
    assert [asked["X-Forwarded-For"] for asked in server.asked] == [CLIENT[0]] * 2
    together = wire(proxy).send(header_v2(CLIENT, SERVER) + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert together.answer().status == 200
    for local in (v2(0x20, 0, b""), v2(0x20, 0x51), v2(0x20, 0x13)):  # the proxy in front itself
        assert wire(proxy).send(local).ask().status == 418


def test_a_trusted_proxy_without_a_header_is_cut_off_and_an_untrusted_header_is_no_http(origin, serve, wire):
    trusting = serve(origin(), proxy_protocol={"from": ["127.0.0.1"]})
    assert wire(trusting).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ended()
    elsewhere = serve(origin(), proxy_protocol={"from": ["192.0.2.0/24"]})
    assert wire(elsewhere).send(header_v1(CLIENT, SERVER) + b"Host: a\r\n\r\n").answer().status == 400
    assert wire(elsewhere).ask().status == 200


def test_a_header_that_does_not_come_is_not_waited_for_long(origin, serve, wire):
    proxy = serve(
        origin(), proxy_protocol={"from": ["127.0.0.1"]}, limits=Limits(header_timeout="200ms", drain="0s")
    )
    silent, slow = wire(proxy), wire(proxy).send("PROXY TCP4")
    assert silent.ended()
    assert slow.ended()
