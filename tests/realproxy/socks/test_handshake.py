"""SOCKS handshakes: what is asked comes out however the bytes arrive, and bad input gets its reply."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy.socks import ClientHandshake, Command, Refused, Reply, ServerHandshake, SocksRequest, reply5
from realproxy.socks.addresses import BadAddress, write_address

USERS = {"alice": "secret"}


def is_user(user: str, password: str) -> bool:
    return USERS.get(user) == password


def shaken(pieces, versions=(4, 5), users=False) -> tuple[ServerHandshake, bytes]:
    shake = ServerHandshake(versions, is_user if users else None)
    out = b""
    for piece in pieces:
        if shake.ended:
            break
        out += shake.feed(piece)
    return shake, out


def in_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}\.){0,3}[a-z]{1,10}", fullmatch=True)
hosts = names | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda ip: ip.compressed)
ports = st.integers(1, 65535)
early = st.binary(max_size=40)


@given(hosts, ports, st.sampled_from([Command.CONNECT, Command.UDP_ASSOCIATE]), early, st.booleans())
def test_a_request_of_version_5_is_read(host, port, command, rest, users):
    hello = b"\x05\x02\x00\x02" + (b"\x01\x05alice\x06secret" if users else b"")
    data = hello + bytes([5, command, 0]) + write_address(host, port)
    expected = SocksRequest(5, command, socket_text(host), port, "alice" if users else "")
    answer = b"\x05\x02\x01\x00" if users else b"\x05\x00"
    whole, out = shaken([data + rest], users=users)
    assert (whole.request, whole.rest, out) == (expected, rest, answer)
    parts, out = shaken(in_bytes(data), users=users)
    assert (parts.request, parts.rest, out) == (expected, b"", answer)


def socket_text(host: str) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, host))
        except OSError:
            continue
    return host


@given(hosts.filter(lambda host: ":" not in host), ports, st.binary(max_size=20), early)
def test_a_request_of_version_4_and_4a_is_read(host, port, user, rest):
    user = user.replace(b"\0", b"")
    try:
        ip, name = socket.inet_aton(host), b""
        ip = ip if not (ip[:3] == bytes(3) and ip[3]) else b"\x7f\0\0\1"
        host = socket.inet_ntoa(ip)
    except OSError:
        ip, name = b"\0\0\0\x07", host.encode() + b"\0"
    data = b"\x04\x01" + port.to_bytes(2, "big") + ip + user + b"\0" + name
    expected = SocksRequest(4, Command.CONNECT, host, port)
    whole, out = shaken([data + rest])
    assert (whole.request, whole.rest, out) == (expected, rest, b"")
    parts, _ = shaken(in_bytes(data))
    assert parts.request == expected


REJECTED = b"\x00\x5b" + bytes(6)
NOT_ACCEPTABLE = b"\x05\xff"

BAD = [
    ("no method", b"\x05\x00", NOT_ACCEPTABLE),
    ("only an unknown method", b"\x05\x01\x80", NOT_ACCEPTABLE),
    ("only a password where none is known", b"\x05\x01\x02", NOT_ACCEPTABLE),
    ("a request of version 4 behind it", b"\x05\x01\x00\x04\x01\x00\x01", b"\x05\x00" + reply5(Reply(1))),
    ("RSV set", b"\x05\x01\x00\x05\x01\x07\x01", b"\x05\x00" + reply5(Reply(1))),
    ("BIND", b"\x05\x01\x00\x05\x02\x00\x01\x7f\0\0\1\0\x50", b"\x05\x00" + reply5(Reply(7))),
    ("command 0", b"\x05\x01\x00\x05\x00\x00\x01\x7f\0\0\1\0\x50", b"\x05\x00" + reply5(Reply(7))),
    ("address type 2", b"\x05\x01\x00\x05\x01\x00\x02", b"\x05\x00" + reply5(Reply(8))),
    ("an empty name", b"\x05\x01\x00\x05\x01\x00\x03\x00\0\x50", b"\x05\x00" + reply5(Reply(1))),
    ("a name with a space", b"\x05\x01\x00\x05\x01\x00\x03\x03a b\0\x50", b"\x05\x00" + reply5(Reply(1))),
    ("a name with CRLF", b"\x05\x01\x00\x05\x01\x00\x03\x04a\r\nb\0\x50", b"\x05\x00" + reply5(Reply(1))),
    ("port 0", b"\x05\x01\x00\x05\x01\x00\x01\x7f\0\0\1\0\0", b"\x05\x00" + reply5(Reply(1))),
    ("version 4: BIND", b"\x04\x02\0\x50\x7f\0\0\1\0", REJECTED),
    ("version 4: port 0", b"\x04\x01\0\0\x7f\0\0\1\0", REJECTED),
    ("version 4: an endless user", b"\x04\x01\0\x50\x7f\0\0\1" + b"u" * 256, REJECTED),
    ("version 4a: an endless name", b"\x04\x01\0\x50\0\0\0\1\0" + b"h" * 256, REJECTED),
    ("version 4a: an empty name", b"\x04\x01\0\x50\0\0\0\1\0\0", REJECTED),
    ("version 6", b"\x06\x01\x00", NOT_ACCEPTABLE),
]  # fmt: skip


@pytest.mark.parametrize("data", [case[1:] for case in BAD], ids=[case[0] for case in BAD])
@pytest.mark.parametrize("cut", [lambda data: [data], in_bytes], ids=["whole", "in bytes"])
def test_bad_input_gets_the_right_reply_and_an_end(data, cut):
    shake, out = shaken(cut(data[0]))
    assert out == data[1]
    assert shake.problem and shake.request is None and not shake.bad_credentials


BAD_USERS = [
    ("no password offered", b"\x05\x01\x00", NOT_ACCEPTABLE),
    ("a wrong password", b"\x05\x01\x02\x01\x05alice\x05wrong", b"\x05\x02\x01\x01"),
    ("an unknown user", b"\x05\x01\x02\x01\x03eve\x06secret", b"\x05\x02\x01\x01"),
    ("an empty user", b"\x05\x01\x02\x01\x00\x00", b"\x05\x02\x01\x01"),
    ("version 4", b"\x04\x01\0\x50\x7f\0\0\1alice\0", REJECTED),
]


@pytest.mark.parametrize("data", [case[1:] for case in BAD_USERS], ids=[case[0] for case in BAD_USERS])
@pytest.mark.parametrize("cut", [lambda data: [data], in_bytes], ids=["whole", "in bytes"])
def test_who_is_not_known_is_told_so(data, cut):
    shake, out = shaken(cut(data[0]), users=True)
    assert out == data[1]
    assert shake.bad_credentials and shake.request is None


def test_a_bad_version_of_the_password_method_is_refused():
    shake, out = shaken([b"\x05\x01\x02\x05"], users=True)
    assert (out, shake.request) == (b"\x05\x02\x01\x01", None)


@pytest.mark.parametrize(("versions", "data"), [((5,), b"\x04"), ((4,), b"\x05")])
def test_a_version_that_is_off_is_refused_at_its_first_byte(versions, data):
    shake, out = shaken([data], versions)
    assert out in (REJECTED, NOT_ACCEPTABLE) and "is not supported" in shake.problem


@given(st.binary(max_size=600), st.booleans(), st.lists(st.integers(1, 50), max_size=30))
def test_whatever_arrives_the_pieces_do_not_matter(data, users, cuts):
    data = (b"\x05" if data[:1] > b"\x80" else b"\x04") + data
    pieces, at = [], 0
    for size in cuts:
        pieces.append(data[at : at + size])
        at += size
    pieces.append(data[at:])
    whole, out = shaken([data], users=users)
    parts, pieced = shaken(pieces, users=users)
    assert (whole.request, whole.problem, out) == (parts.request, parts.problem, pieced)


# --- both sides against each other -------------------------------------------------------------


def talk(asking: ClientHandshake, shake: ServerHandshake) -> None:
    """Let both sides speak until one of them is done."""
    to_server, turns = asking.start(), 0
    while not shake.ended and turns < 10:
        to_server = asking.feed(shake.feed(to_server))
        turns += 1


@given(hosts, ports, st.booleans())
def test_a_client_is_understood_by_the_server(host, port, users):
    asking = ClientHandshake(host, port, "alice", "secret") if users else ClientHandshake(host, port)
    shake = ServerHandshake((5,), is_user if users else None)
    talk(asking, shake)
    user = "alice" if users else ""
    assert shake.request == SocksRequest(5, Command.CONNECT, socket_text(host), port, user)
    asking.feed(shake.request.reply(Reply.SUCCEEDED, "192.0.2.1", 7) + b"banner")
    assert (asking.done, asking.rest) == (True, b"banner")


@pytest.mark.parametrize("code", [reply for reply in Reply if reply])
def test_a_refusal_is_told_in_words(code):
    asking = ClientHandshake("a.test", 80)
    with pytest.raises(Refused, match=f"^{code.meaning}$"):
        asking.feed(b"\x05\x00" + reply5(code))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"HTTP/1.1 400", "does not speak SOCKS5"),
        (b"\x05\xff", "wants a user and a password"),
        (b"\x05\x00\x04\x00", "not of version 5"),
        (b"\x05\x00\x05\x63\x00\x01", "reply 99"),
        (b"\x05\x00\x05\x00\x00\x09\x00", "malformed"),
    ],
)
def test_a_parent_that_talks_nonsense_is_told_in_words(data, problem):
    with pytest.raises(Refused, match=problem):
        ClientHandshake("a.test", 80).feed(data)


def test_a_parent_that_does_not_know_the_user_is_told_in_words():
    asking = ClientHandshake("a.test", 80, "alice", "wrong")
    with pytest.raises(Refused, match="does not accept the user"):
        talk(asking, shake := ServerHandshake((5,), is_user))
    assert shake.bad_credentials
    with pytest.raises(Refused, match="wants other credentials"):
        ClientHandshake("a.test", 80, "alice", "secret").feed(b"\x05\xff")


@pytest.mark.parametrize("host", ["é..test", "ü" * 64, "x" * 256])
def test_a_name_that_no_address_can_hold_is_a_bad_address(host):
    with pytest.raises(BadAddress):
        write_address(host, 80)
