"""All A and AAAA records of an upstream's name are used: each in its turn, and the others if it fails."""

import collections
import contextlib
import itertools
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses import dial_order
from policies.settings import Service, Tcp
from realproxy import Limits, Route
from realproxy.net import resolver as resolver_module
from realproxy.net.resolver import Resolver

NAME = "web.invalid"


class Places:
    """Servers on one port of several addresses; each says the address that it was reached at."""

    def __init__(self, hosts: list[str]) -> None:
        self.hosts, self._listeners, self._threads = hosts, [], []

    def __enter__(self) -> "Places":
        self.port = 0
        for host in self.hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, self.port), family=family)
            self.port = listener.getsockname()[1]
            self._listeners.append(listener)
            thread = threading.Thread(target=self._serve, args=(host, listener))
            thread.start()
            self._threads.append(thread)
        return self

    def _serve(self, host: str, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(10)
                    while (data := sock.recv(4096)) and not data.endswith(b"\n"):
                        pass
                    sock.sendall(
                        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
                        % (len(host), host.encode())
                    )

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def named(monkeypatch):
    """Makes `NAME` stand for some addresses."""

    def make(*addresses: str) -> None:
        asked = resolver_module.look_up
        monkeypatch.setattr(
            resolver_module,
            "look_up",
            lambda host, *flags: list(addresses) if host == NAME else asked(host, *flags),
        )

    return make


def test_connections_take_the_addresses_in_turn(serve, wire, named):
    hosts = ["127.0.0.1", "127.0.0.2", "::1"]
    named(*hosts)
    with Places(hosts) as places:
        proxy = serve(route=[Route(to="web")], service={"web": Service(upstreams=[f"{NAME}:{places.port}"])})
        got = collections.Counter(wire(proxy).ask().body.decode() for _ in range(9))
    assert got == dict.fromkeys(hosts, 3)


@pytest.mark.parametrize("dead", ["127.0.0.9", "::1"])
def test_an_address_that_cannot_be_reached_costs_no_request_and_comes_last_from_then_on(
    serve, wire, named, dead, monkeypatch
):
    tried = []
    connect = socket.socket.connect

    class Watched(socket.socket):
        def connect(self, address) -> None:
            tried.append(address[0])
            connect(self, address)

    monkeypatch.setattr("realproxy.net.dial.socket.socket", Watched)
    named(dead, "127.0.0.1", "127.0.0.2")
    with Places(["127.0.0.1", "127.0.0.2"]) as places:
        proxy = serve(route=[Route(to="web")], service={"web": Service(upstreams=[f"{NAME}:{places.port}"])})
        got = [wire(proxy).ask().body.decode() for _ in range(9)]
        counts = proxy.stats()["upstreams"]["web"][0]
    assert set(got) == {"127.0.0.1", "127.0.0.2"} and len(got) == 9
    assert tried.count(dead) == 1
    assert (counts["requests"], counts["failures"]) == (9, 0)


def test_raw_tcp_takes_them_in_turn_too(serve, named):
    named("127.0.0.9", "127.0.0.1", "127.0.0.2")
    with Places(["127.0.0.1", "127.0.0.2"]) as places:
        proxy = serve(
            tcp=[Tcp(listen="127.0.0.1:0", to="web")],
            service={"web": Service(upstreams=[f"{NAME}:{places.port}"])},
            limits=Limits(drain="1s"),
        )
        got = set()
        for _ in range(6):
            with socket.create_connection(("127.0.0.1", proxy.tcp_ports[0]), timeout=10) as sock:
                sock.sendall(b"x\n")
                got.add(sock.makefile("rb").read().rpartition(b"\r\n")[2])
    assert got == {b"127.0.0.1", b"127.0.0.2"}


def test_an_avoided_address_is_tried_first_again_later(named, monkeypatch):
    named("192.0.2.1", "192.0.2.2")
    now = [1000.0]
    monkeypatch.setattr(resolver_module.time, "monotonic", lambda: now[0])
    resolver = Resolver(5.0)
    resolver.avoid(("192.0.2.1", 80))
    first = [resolver.turned([("192.0.2.1", 80), ("192.0.2.2", 80)])[0][0] for _ in range(4)]
    assert first == ["192.0.2.2"] * 4
    now[0] += resolver_module.AVOIDED
    first = {resolver.turned([("192.0.2.1", 80), ("192.0.2.2", 80)])[0][0] for _ in range(4)}
    assert first == {"192.0.2.1", "192.0.2.2"}


ADDRESSES = st.lists(
    st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"]),
    min_size=1,
    unique=True,
)


@given(ADDRESSES)
def test_each_address_is_first_once_and_none_is_left_out(addresses):
    orders = [dial_order(addresses, turn) for turn in range(len(addresses))]
    assert [order[0] for order in orders] == addresses
    assert all(sorted(order) == sorted(addresses) for order in orders)


@given(ADDRESSES, st.integers(0, 20))
def test_the_families_alternate_while_both_last(addresses, turn):
    """RFC 8305, 4"""
    is_ipv6 = [":" in address for address in dial_order(addresses, turn)]
    fewer = min(is_ipv6.count(True), is_ipv6.count(False))
    assert all(one != other for one, other in itertools.pairwise(is_ipv6[: 2 * fewer]))
