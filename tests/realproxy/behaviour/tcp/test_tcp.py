"""Raw TCP listeners: balancing, half-close, back-pressure, the client's address, statistics."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from policies.bad_input import BadInput
from realproxy import Limits, Proxy, ProxyProtocol, Service, Tcp
from realproxy.net.proxy_protocol import SIGNATURE, Header, header_v1, header_v2, read_header

SECONDS = 30.0


class Upstream:
    """A server whose connections a test holds in its hands."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.settimeout(SECONDS)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._socks: list[socket.socket] = []

    def accept(self) -> socket.socket:
        sock, _ = self.listener.accept()
        sock.settimeout(SECONDS)
        self._socks.append(sock)
        return sock

    def close(self) -> None:
        for sock in (self.listener, *self._socks):
            sock.close()


@pytest.fixture
def upstream() -> Iterator[Callable[[], Upstream]]:
    with contextlib.ExitStack() as stack:

        def start() -> Upstream:
            server = Upstream()
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def dial() -> Iterator[Callable[..., socket.socket]]:
    with contextlib.ExitStack() as stack:

        def connect(proxy: Proxy, first: bytes = b"") -> socket.socket:
            sock = socket.create_connection(("127.0.0.1", proxy.tcp_ports[0]), timeout=SECONDS)
            stack.enter_context(sock)
            sock.sendall(first)
            return sock

        yield connect


@pytest.fixture
def tunnelled(serve) -> Callable[..., Proxy]:
    def start(*addresses: str, balance: str = "round_robin", out=None, limits=None, **keywords) -> Proxy:
        return serve(
            tcp=[Tcp(listen="127.0.0.1:0", to="it", **keywords)],
            service={"it": Service(upstreams=addresses, balance=balance, proxy_protocol=out)},
            limits=limits or Limits(drain="0s"),
        )

    return start


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(2**18), b""))


def test_bytes_go_both_ways_and_either_side_may_end_first(upstream, tunnelled, dial, until):
    server = upstream()
    proxy = tunnelled(server.address)
    client = dial(proxy, b"hello")
    far = server.accept()
    assert far.recv(5, socket.MSG_WAITALL) == b"hello"
    client.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    far.sendall(b"answer after the end")
    far.close()
    assert read_all(client) == b"answer after the end"
    until(lambda: proxy.stats()["tcp"][0]["open"] == 0)
    [counts] = proxy.stats()["tcp"]
    assert (counts["accepted"], counts["failed"], counts["received"], counts["sent"]) == (1, 0, 5, 20)


def test_several_listeners_lead_to_several_services(upstream, serve):
    servers = [upstream(), upstream()]
    proxy = serve(
        tcp=[Tcp(listen="127.0.0.1:0", to="a"), Tcp(listen="127.0.0.1:0", to="b")],
        service={"a": Service(upstreams=servers[0].address), "b": Service(upstreams=servers[1].address)},
        limits=Limits(drain="0s"),
    )
    for server, port in zip(servers, proxy.tcp_ports, strict=True):
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client:
            server.accept().sendall(b"here")
            assert client.recv(4, socket.MSG_WAITALL) == b"here"


def test_open_connections_are_what_a_balancer_counts(upstream, tunnelled, dial, until):
    servers = [upstream() for _ in range(3)]
    proxy = tunnelled(*(server.address for server in servers), balance="least_requests")

    def outstanding() -> list[int]:
        return [each["outstanding"] for each in proxy.stats()["upstreams"]["it"]]

    clients = [dial(proxy) for _ in range(9)]
    held = [[server.accept() for _ in range(3)] for server in servers]
    assert outstanding() == [3, 3, 3]
    for sock in held[1]:
        sock.close()
    for client in clients:
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            if client.recv(1) == b"":
                client.close()
    until(lambda: outstanding() == [3, 0, 3])
    for _ in range(3):
        dial(proxy)
        servers[1].accept()
    assert outstanding() == [3, 3, 3]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_upstream_that_cannot_be_reached_is_passed_over(upstream, tunnelled, dial, nobody, name):
    server = upstream()
    proxy = tunnelled(f"{name}:{nobody}", f"{name}:{nobody}", f"{name}:{server.port}")
    for number in range(4):
        client = dial(proxy, b"%d" % number)
        assert server.accept().recv(1) == b"%d" % number
        client.close()


def test_failures_to_connect_eject_an_upstream_and_failover_can_be_off(upstream, serve, dial, nobody, until):
    server = upstream()
    addresses = [f"127.0.0.1:{nobody}", server.address]
    eject = {"errors": 2, "for": "60s", "most": 0.5}

    def start(**keys) -> Proxy:
        service = Service(upstreams=addresses, eject=eject, **keys)
        return serve(
            tcp=[Tcp(listen="127.0.0.1:0", to="it")], service={"it": service}, limits=Limits(drain="0s")
        )

    patient = start()
    for number in range(8):
        dial(patient, b"%d" % number)
        assert server.accept().recv(1) == b"%d" % number
    assert patient.stats()["upstreams"]["it"][0]["requests"] == 2
    strict = start(failover=False)
    assert read_all(dial(strict)) == b""
    until(lambda: strict.stats()["tcp"][0]["failed"] == 1)


@pytest.mark.parametrize("key", [{"queue": {"in_flight": 1}}, {"rate": "1/s"}, {"tls": True}, {"retry": {}}])
def test_what_only_routes_obey_is_refused(key):
    with pytest.raises(BadInput, match=rf"tcp\.0\.to: service 'it' has {next(iter(key))}, which only routes"):
        Proxy(
            tcp=[Tcp(listen="127.0.0.1:0", to="it")], service={"it": Service(upstreams="127.0.0.1:1", **key)}
        )


def test_without_any_upstream_the_connection_is_closed_and_that_is_logged(
    serve, dial, nobody, tmp_path, until
):
    log = tmp_path / "log"
    proxy = serve(
        tcp=[Tcp(listen="127.0.0.1:0", to="it")],
        service={"it": Service(upstreams=[f"127.0.0.1:{nobody}", "nowhere.invalid:1"])},
        log={"file": str(log)},
    )
    assert read_all(dial(proxy)) == b""
    until(lambda: log.exists() and log.read_text(encoding="utf-8").endswith("\n"))
    line = json.loads(log.read_text(encoding="utf-8"))
    assert (line["side"], line["service"], line["end"]) == ("tcp", "it", "upstream-unreachable")
    assert proxy.stats()["tcp"][0]["failed"] == 1


def test_an_upstream_that_does_not_answer_the_call_holds_up_nobody(upstream, tunnelled, dial):
    """Its queue is full, so that a further connection hangs."""
    server = upstream()
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        hanging = f"127.0.0.1:{full.getsockname()[1]}"
        proxy = tunnelled(hanging, server.address, limits=Limits(connect_timeout="2s", drain="0s"))
        first, second = dial(proxy, b"1"), dial(proxy, b"2")
        assert server.accept().recv(1) == b"2"  # while the first hangs
        assert server.accept().recv(1) == b"1"  # it was late there, and goes on here
        first.close()
        second.close()


def test_what_is_not_read_stops_the_sender_in_bounded_memory(upstream, tunnelled, dial):
    server = upstream()
    client = dial(tunnelled(server.address))
    far = server.accept()
    client.settimeout(0.3)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 2**28:
            sent += client.send(b"x" * 2**16)
    assert sent < 2**26
    received = []
    reader = threading.Thread(target=lambda: received.append(len(read_all(far))))
    reader.start()
    client.shutdown(socket.SHUT_WR)
    reader.join()
    assert received == [sent]


def test_a_silent_connection_is_closed(upstream, tunnelled, dial):
    server = upstream()
    client = dial(tunnelled(server.address, idle_timeout="200ms"))
    far = server.accept()
    assert (client.recv(1), far.recv(1)) == (b"", b"")


def test_connections_cost_no_thread(upstream, tunnelled, dial):
    server = upstream()
    proxy = tunnelled(server.address)
    before = threading.active_count()
    pairs = [(dial(proxy), server.accept()) for _ in range(100)]
    for client, far in pairs:
        far.sendall(b"pong")
        assert client.recv(4, socket.MSG_WAITALL) == b"pong"
    assert threading.active_count() <= before


def test_beyond_the_cap_clients_wait_in_the_kernel(upstream, tunnelled, dial, until):
    server = upstream()
    proxy = tunnelled(server.address, limits=Limits(connections=2, drain="0s"))
    first, second, third = (dial(proxy, b"%d" % number) for number in range(3))
    held = [server.accept() for _ in range(2)]
    until(lambda: proxy.stats()["tcp"][0]["open"] == 2)
    first.close()
    held[0].close()
    assert server.accept().recv(1) == b"2"
    until(lambda: proxy.stats()["tcp"][0]["accepted"] == 3)
    second.close()
    third.close()


def test_a_stop_waits_for_connections_until_the_drain_ends(upstream, serve, dial):
    server = upstream()
    proxy = serve(
        tcp=[Tcp(listen="127.0.0.1:0", to="it")],
        service={"it": Service(upstreams=server.address)},
        limits=Limits(drain="60s"),
    )
    client = dial(proxy, b"question")
    far = server.accept()
    assert far.recv(8, socket.MSG_WAITALL) == b"question"
    stopping = threading.Thread(target=proxy.stop)
    stopping.start()
    far.sendall(b"answer")
    far.close()
    assert read_all(client) == b"answer"
    client.close()
    stopping.join(30)
    assert not stopping.is_alive()


# --- the PROXY protocol ------------------------------------------------------------------------

SOURCE, TARGET = ("203.0.113.7", 40000), ("198.51.100.1", 443)


@pytest.mark.parametrize("header", [header_v1(SOURCE, TARGET), header_v2(SOURCE, TARGET)])
@pytest.mark.parametrize("out", ["v1", "v2", None])
def test_a_trusted_header_is_taken_off_and_passed_on(upstream, tunnelled, dial, header, out):
    server = upstream()
    proxy = tunnelled(server.address, out=out, proxy_protocol=ProxyProtocol(from_=["127.0.0.0/8"]))
    client = dial(proxy)
    for byte in header + b"hello":
        client.sendall(bytes((byte,)))
    client.shutdown(socket.SHUT_WR)
    received = read_all(server.accept())
    passed = read_header(received) if out else Header(0, None)
    assert passed is not None
    assert (received[passed.size :], passed.source) == (b"hello", SOURCE if out else None)


@pytest.mark.parametrize("family", [0x00, 0x51, 0x13])
def test_a_local_header_is_taken_off_whatever_is_in_it(upstream, tunnelled, dial, family):
    server = upstream()
    proxy = tunnelled(server.address, proxy_protocol=ProxyProtocol(from_=["127.0.0.0/8"]))
    client = dial(proxy, SIGNATURE + bytes((0x20, family)) + (12).to_bytes(2) + bytes(12) + b"hello")
    client.shutdown(socket.SHUT_WR)
    assert read_all(server.accept()) == b"hello"


def test_without_a_header_upstreams_hear_of_the_connection_itself(upstream, tunnelled, dial):
    server = upstream()
    client = dial(tunnelled(server.address, out="v2"), b"hello")
    client.shutdown(socket.SHUT_WR)
    received = read_all(server.accept())
    assert read_header(received) == Header(28, client.getsockname())
    assert received[28:] == b"hello"


def test_an_untrusted_client_cannot_name_itself(upstream, tunnelled, dial):
    server = upstream()
    header = header_v1(SOURCE, TARGET)
    proxy = tunnelled(server.address, out="v1", proxy_protocol={"from": ["192.0.2.0/24"]})
    client = dial(proxy, header)
    client.shutdown(socket.SHUT_WR)
    received = read_all(server.accept())
    own = read_header(received)
    assert own is not None
    assert (own.source, received[own.size :]) == (client.getsockname(), header)


@pytest.mark.parametrize(
    "wrong", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PROXY TCP4 1.1.1.1\r\n", b""]
)
def test_a_trusted_proxy_must_send_a_header(tunnelled, dial, wrong):
    proxy = tunnelled(
        "127.0.0.1:1",
        proxy_protocol={"from": ["127.0.0.1/32"]},
        limits=Limits(header_timeout="200ms", drain="0s"),
    )
    client = dial(proxy, wrong)
    with contextlib.suppress(ConnectionError):
        assert read_all(client) == b""
    assert proxy.stats()["upstreams"]["it"][0]["requests"] == 0


# --- settings ----------------------------------------------------------------------------------


def test_what_is_wrong_is_said_in_one_line():
    with pytest.raises(BadInput, match=r"tcp\.0\.to: unknown service 'its' \(did you mean 'it'\?\)"):
        Proxy(tcp=[{"listen": "127.0.0.1:0", "to": "its"}], service={"it": {"upstreams": "127.0.0.1:1"}})
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        proxy = Proxy(
            tcp=[{"listen": f"127.0.0.1:{taken.getsockname()[1]}", "to": "it"}],
            service={"it": {"upstreams": "127.0.0.1:1"}},
        )
        with pytest.raises(BadInput, match=r"tcp\.0\.listen: port \d+ is in use"):
            proxy.start()
