"""SOCKS on the wire: real clients, tunnels, datagrams, and what is refused."""

import contextlib
import ipaddress
import json
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy import Forward, Limits, Log, Proxy
from realproxy.socks import wrap_datagram
from realproxy.socks.addresses import write_address

GREETING = b"\x05\x01\x00"


def forward(**keys) -> Forward:
    return Forward(**{"private_targets": True, **keys})


def ask5(host: str, port: int, command: int = 1) -> bytes:
    return bytes([5, command, 0]) + write_address(host, port)


def reply_of(client) -> tuple[int, tuple[str, int]]:
    """Code and bound address of a reply of version 5."""
    head = client.reader.read(4)
    assert head[0] == 5 and head[2] == 0
    size = {1: 4, 4: 16}[head[3]]
    host = socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, client.reader.read(size))
    return head[1], (host, int.from_bytes(client.reader.read(2), "big"))


def connect5(client, host: str, port: int, command: int = 1) -> tuple[int, tuple[str, int]]:
    client.send(GREETING)
    assert client.reader.read(2) == b"\x05\x00"
    client.send(ask5(host, port, command))
    return reply_of(client)


def get(client) -> bytes:
    return client.ask("/a", host="x.test").body


# --- real clients ------------------------------------------------------------------------------


@pytest.mark.needs("curl")
@pytest.mark.parametrize("option", ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"])
def test_curl(origin, serve, tmp_path, option):
    server, log = origin(), tmp_path / "a.log"
    proxy = serve(forward=forward(), log=Log(file=str(log)))
    host = "localhost" if option in ("--socks4a", "--socks5-hostname") else "127.0.0.1"
    command = ["curl", "-sS", "--max-time", "10", option, f"127.0.0.1:{proxy.port}"]
    url = f"http://{host}:{server.port}/a"
    assert subprocess.run([*command, url], capture_output=True, check=True).stdout == b"hello"
    proxy.stop()
    line = json.loads(log.read_text())
    assert (line["side"], line["status"], line["end"]) == (option[2:8], 200, "done")
    assert (line["target"], line["bytes"] > 5) == (f"{host}:{server.port}", True)


@pytest.mark.needs("curl")
@pytest.mark.parametrize(("password", "code"), [("secret", 0), ("wrong", 97)])
def test_curl_shows_credentials(origin, serve, tmp_path, password, code):
    server, log = origin(), tmp_path / "a.log"
    proxy = serve(forward=forward(auth={"alice": "secret"}), log=Log(file=str(log)))
    command = ["curl", "-sS", "--max-time", "10", "--socks5", f"alice:{password}@127.0.0.1:{proxy.port}"]
    result = subprocess.run([*command, f"http://{server.address}/"], capture_output=True, check=False)
    assert result.returncode == code
    proxy.stop()
    line = json.loads(log.read_text())
    assert (line["user"], line["end"]) == (("alice", "done") if code == 0 else (None, "unauthenticated"))


# --- tunnels -----------------------------------------------------------------------------------


def test_all_protocols_share_the_port(origin, serve, wire):
    server = origin()
    proxy = serve(forward=forward(connect_ports=[server.port]))
    client = wire(proxy)
    assert connect5(client, "127.0.0.1", server.port)[0] == 0
    assert get(client) == b"hello"
    client = wire(proxy).send(b"\x04\x01" + struct.pack("!H", server.port) + b"\0\0\0\1\0localhost\0")
    assert client.reader.read(8)[:2] == b"\x00\x5a"
    assert get(client) == b"hello"
    assert wire(proxy).ask(f"http://{server.address}/").body == b"hello"
    client = wire(proxy)
    assert client.ask(server.address, "CONNECT").status == 200
    assert get(client) == b"hello"


def test_everything_may_come_in_one_piece_with_early_data(origin, serve, wire):
    server = origin()
    request = b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n"
    client = wire(serve(forward=forward())).send(GREETING + ask5("127.0.0.1", server.port) + request)
    assert client.reader.read(2) == b"\x05\x00"
    assert reply_of(client)[0] == 0
    assert client.answer().body == b"hello"
    assert server.asked[0].target == "/early"


@pytest.mark.parametrize("apart", [True, False])
def test_a_proxy_header_may_come_first(origin, serve, wire, tmp_path, apart):
    server, log = origin(), tmp_path / "a.log"
    proxy = serve(forward=forward(), proxy_protocol={"from": ["127.0.0.1"]}, log=Log(file=str(log)))
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 5 6\r\n"
    client = wire(proxy).send(header if apart else header + GREETING)
    if apart:
        time.sleep(0.1)
        client.send(GREETING)
    assert client.reader.read(2) == b"\x05\x00"
    assert reply_of(client.send(ask5("127.0.0.1", server.port)))[0] == 0
    assert get(client) == b"hello"
    client.sock.close()
    proxy.stop()
    assert [json.loads(line)["client"] for line in log.read_text().splitlines()] == ["192.0.2.7"]


def test_everything_may_come_byte_by_byte(origin, serve, wire):
    server = origin()
    client = wire(serve(forward=forward()))
    for byte in GREETING + ask5("localhost", server.port):
        client.send(bytes([byte]))
        time.sleep(0.001)
    assert client.reader.read(2) == b"\x05\x00"
    code, (host, port) = reply_of(client)
    assert (code, host, port > 0) == (0, "127.0.0.1", True)
    assert get(client) == b"hello"


REFUSED = [
    ("private", {"private_targets": False}, "127.0.0.1", 2, "forward.private_targets"),
    ("blocked name", {"block": ["*.ads.test"]}, "www.ads.test", 2, "forward.block: *.ads.test"),
    ("blocked network", {"block": ["127.0.0.0/8"]}, "localhost", 2, "forward.block: 127.0.0.0/8"),
    ("unspecified", {"block": ["127.0.0.0/8"]}, "0.0.0.0", 2, "forward.block: 127.0.0.0/8"),
    ("port", {"socks_ports": [22]}, "127.0.0.1", 2, "forward.socks_ports"),
    ("unknown name", {}, "nowhere.invalid", 4, "cannot resolve nowhere.invalid"),
    ("nobody there", {}, "127.0.0.1", 5, "connection refused"),
]


@pytest.mark.parametrize(
    ("keys", "host", "code", "detail"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_is_refused_gets_its_code_and_the_log_its_reason(
    serve, wire, tmp_path, nobody, keys, host, code, detail
):
    log = tmp_path / "a.log"
    proxy = serve(forward=forward(**keys), log=Log(file=str(log)))
    client = wire(proxy)
    assert connect5(client, host, nobody)[0] == code
    assert client.ended()
    client.close()
    client = wire(proxy).send(b"\x04\x01" + struct.pack("!H", nobody) + b"\0\0\0\1\0" + host.encode() + b"\0")
    assert client.reader.read(8)[:2] == b"\x00\x5b"
    assert client.ended()
    client.close()
    proxy.stop()
    five, four = [json.loads(line) for line in log.read_text().splitlines()]
    assert (five["side"], four["side"]) == ("socks5", "socks4")
    assert detail in five["detail"] and detail in four["detail"]


def test_the_proxy_does_not_connect_to_itself(serve, wire):
    proxy = serve(forward=forward())
    assert connect5(wire(proxy), "localhost", proxy.port)[0] == 2
    for host in ("::ffff:127.0.0.1", "::ffff:0.0.0.0", "0.0.0.0"):
        packed = ipaddress.ip_address(host).packed
        address = b"\x05\x01\x00" + (b"\x04" if ":" in host else b"\x01") + packed
        client = wire(proxy).send(b"\x05\x01\x00" + address + struct.pack("!H", proxy.port))
        assert client.reader.read(4) == b"\x05\x00\x05\x02"


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"\x05\x01\x07", b"\x05\xff"),
        (b"\x05\x01\x00\x05\x02\x00\x01\x7f\0\0\1\0\x50", b"\x05\x00\x05\x07\x00\x01" + bytes(6)),
        (b"\x04\x02\0\x50\x7f\0\0\1\0", b"\x00\x5b" + bytes(6)),
    ],
)
def test_bad_input_gets_its_reply_and_the_connection_ends(serve, wire, data, answer):
    client = wire(serve(forward=forward())).send(data)
    assert client.reader.read(len(answer)) == answer
    assert client.ended()


def test_where_socks_is_off_it_is_no_http_either(origin, serve, wire):
    for proxy in (serve(origin()), serve(forward=forward(protocols=["http"]))):
        assert wire(proxy).send(GREETING).answer().status == 400


def test_socks_is_spoken_at_the_beginning_only(origin, serve, wire):
    client = wire(serve(origin(), forward=forward()))
    assert client.ask("/").body == b"hello"
    assert client.send(GREETING).answer().status == 400


@given(st.sampled_from([b"\x04", b"\x05", GREETING, GREETING + b"\x05\x01\x00"]), st.binary(max_size=300))
def test_whatever_is_sent_the_connection_ends(everything_blocked, start, data):
    address = ("127.0.0.1", everything_blocked.port)
    with socket.create_connection(address, timeout=30) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(start + data)
        with contextlib.suppress(OSError):  # it may have ended already
            sock.shutdown(socket.SHUT_WR)
        while sock.recv(1000):
            pass  # one that does not end is a TimeoutError


@pytest.fixture(scope="module")
def everything_blocked() -> Iterator[Proxy]:
    """A proxy that dials nothing; at the end it must still answer."""
    with Proxy(forward=Forward(block=["*", "0.0.0.0/0", "::/0"]), limits=Limits(drain="1s")) as proxy:
        yield proxy
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as sock:
            sock.sendall(GREETING)
            assert sock.recv(2) == b"\x05\x00"
        assert proxy.stats()["tunnels"] == 0


def test_slow_handshakes_hold_no_worker_and_end(origin, serve, wire, until):
    server = origin()
    limits = Limits(threads=1, header_timeout="500ms", drain="0s")
    proxy = serve(forward=forward(), limits=limits)
    slow = [wire(proxy).send(GREETING[:size]) for size in (1, 2, 3) for _ in range(5)]
    assert wire(proxy).ask(f"http://{server.address}/").body == b"hello"
    start = time.monotonic()
    for client in slow:
        client.sock.settimeout(20)
        while client.reader.read(1):
            pass
    assert time.monotonic() - start < 15
    until(lambda: proxy.stats()["connections"] <= 1)


# --- datagrams ---------------------------------------------------------------------------------


class Echo:
    """A UDP server that sends back what it gets, in upper case."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(10)
        self.port = self.sock.getsockname()[1]

    def answer(self) -> tuple[bytes, tuple[str, int]]:
        data, sender = self.sock.recvfrom(65535)
        self.sock.sendto(data.upper(), sender)
        return data, sender


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.sock.close()


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def associate(proxy, wire, port: int = 0):
    client = wire(proxy)
    code, relay = connect5(client, "0.0.0.0", port, command=3)
    assert code == 0
    return client, relay


def test_a_listener_for_both_families_serves_each_in_its_own_writing(serve, wire, echo, udp):
    proxy = serve(listen="[::]:0", forward=forward())
    client, relay = associate(proxy, wire)
    assert relay[0] == "127.0.0.1"
    udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"a"), relay)
    assert echo.answer()[0] == b"a"
    assert udp.recv(100) == wrap_datagram("127.0.0.1", echo.port, b"A")
    client.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_datagrams_go_through_and_come_back(serve, wire, echo, udp, until, tmp_path, name):
    log = tmp_path / "a.log"
    proxy = serve(forward=forward(), log=Log(file=str(log)))
    client, relay = associate(proxy, wire)
    for size in (0, 5, 40_000):
        udp.sendto(wrap_datagram(name, echo.port, b"a" * size), relay)
        assert echo.answer()[0] == b"a" * size
        assert udp.recvfrom(65535)[0] == wrap_datagram("127.0.0.1", echo.port, b"A" * size)
    assert proxy.stats()["associations"] == 1
    client.close()
    until(lambda: proxy.stats()["associations"] == proxy.stats()["connections"] == 0)
    proxy.stop()
    line = json.loads(log.read_text())
    assert (line["side"], line["end"], line["bytes"], line["received"]) == ("udp", "done", 40_005, 40_005)


def test_datagrams_that_arrive_with_the_end_are_moved_and_logged(serve, wire, echo, udp, until, tmp_path):
    """The connection ends behind them: whatever the loop sees first, they are not lost."""
    log = tmp_path / "a.log"
    proxy = serve(forward=forward(), log=Log(file=str(log)), admin="127.0.0.1:0")
    client, relay = associate(proxy, wire)
    udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"first"), relay)
    _, outer = echo.answer()
    udp.recv(100)
    for number in range(100):  # more than are moved in one turn
        udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"%02d" % number), relay)
        echo.sock.sendto(b"%03d" % number, outer)
    client.close()
    until(lambda: proxy.stats()["associations"] == 0)
    assert [echo.sock.recv(100) for _ in range(100)] == [b"%02d" % number for number in range(100)]
    assert udp.recv(100) == wrap_datagram("127.0.0.1", echo.port, b"000")
    with urllib.request.urlopen(f"{proxy.admin_url}/recent", timeout=10) as page:
        [recent] = json.load(page)
    proxy.stop()
    line = json.loads(log.read_text())
    assert (line["bytes"], line["received"]) == (recent["bytes"], recent["received"]) == (305, 205)


def test_an_association_ends_with_its_connection(serve, wire, echo, udp, until):
    proxy = serve(forward=forward())
    client, relay = associate(proxy, wire)
    udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"a"), relay)
    echo.answer()
    udp.recv(100)
    client.sock.shutdown(socket.SHUT_WR)
    until(lambda: proxy.stats()["associations"] == 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(relay)  # the port is free again


def test_an_idle_association_is_closed(serve, wire, until):
    proxy = serve(forward=forward(), limits=Limits(idle_timeout="200ms", drain="0s"))
    client, _ = associate(proxy, wire)
    assert client.ended()
    until(lambda: proxy.stats()["associations"] == 0)


def test_datagrams_that_must_not_pass_do_not(serve, wire, echo, udp):
    proxy = serve(forward=forward(block=["127.0.0.9"]))
    client, relay = associate(proxy, wire)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        good = wrap_datagram("127.0.0.1", echo.port, b"first")
        udp.sendto(good, relay)
        _, outer = echo.answer()
        assert udp.recv(100) == wrap_datagram("127.0.0.1", echo.port, b"FIRST")
        fragment = bytearray(good)
        fragment[2] = 1
        udp.sendto(bytes(fragment), relay)  # a fragment
        udp.sendto(b"nonsense", relay)
        udp.sendto(wrap_datagram("127.0.0.9", echo.port, b"blocked"), relay)
        stranger.sendto(wrap_datagram("127.0.0.1", echo.port, b"another port"), relay)
        stranger.sendto(b"unasked for", outer)  # from where the client has sent nothing
        udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"last"), relay)
        assert echo.answer()[0] == b"last"
        assert udp.recv(100) == wrap_datagram("127.0.0.1", echo.port, b"LAST")
    client.close()


def test_the_port_that_a_client_announces_is_the_one_that_counts(serve, wire, echo, udp):
    proxy = serve(forward=forward())
    client, relay = associate(proxy, wire, port=udp.getsockname()[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(wrap_datagram("127.0.0.1", echo.port, b"first of another"), relay)
        udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"mine"), relay)
        assert echo.answer()[0] == b"mine"
    client.close()


def test_datagrams_to_private_targets_are_refused(serve, wire, echo, udp, until, tmp_path):
    log = tmp_path / "a.log"
    proxy = serve(forward=Forward(), log=Log(file=str(log)))
    client, relay = associate(proxy, wire)
    udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"a"), relay)
    echo.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        echo.sock.recv(10)
    client.close()
    until(lambda: proxy.stats()["associations"] == 0)
    proxy.stop()
    assert "forward.private_targets" in json.loads(log.read_text())["detail"]


def test_datagrams_to_the_proxy_itself_are_refused(serve, wire, echo, udp, until, tmp_path):
    log = tmp_path / "a.log"
    proxy = serve(forward=forward(), log=Log(file=str(log)))
    client, relay = associate(proxy, wire)
    udp.sendto(wrap_datagram("::ffff:127.0.0.1", proxy.port, b"a"), relay)
    udp.sendto(wrap_datagram("127.0.0.1", echo.port, b"after that"), relay)
    assert echo.answer()[0] == b"after that"
    client.close()
    until(lambda: proxy.stats()["associations"] == 0)
    proxy.stop()
    assert "::ffff:127.0.0.1" in json.loads(log.read_text())["detail"]


def test_a_stop_ends_associations(serve, wire):
    proxy = serve(forward=forward(), limits=Limits(drain="0s"))
    client, _ = associate(proxy, wire)
    proxy.stop()
    assert client.ended()
