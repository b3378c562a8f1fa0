"""Listening on all addresses of this machine: of both families where there are both."""

import errno
import json
import socket

import pytest

from loadtests.free_port import free_port
from policies.addresses import unmapped
from realproxy import BadInput, Log, Match, Proxy, Route, Service, Tcp
from realproxy.net import listener as listener_module
from realproxy.net.listener import listen, url_of

ROUTES = [Route(when=Match(client="127.0.0.0/8"), respond=204), Route(when=Match(client="::1"), respond=205)]
"""The status tells the family of the client."""


def status(host: str, port: int) -> int:
    with socket.create_connection((host, port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return int(sock.recv(1000).split(b" ")[1])


@pytest.mark.parametrize("everywhere", ["*", "", "[::]"])
def test_it_is_reached_by_both_families_and_knows_its_clients_by_their_own_addresses(everywhere, tmp_path):
    log = tmp_path / "a.log"
    with Proxy(listen=f"{everywhere}:0", route=ROUTES, log=Log(file=str(log))) as proxy:
        assert [status(host, proxy.port) for host in ("127.0.0.1", "::1")] == [204, 205]
        assert proxy.url == f"http://127.0.0.1:{proxy.port}"
    assert [json.loads(line)["client"] for line in log.read_text().splitlines()] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_one_family_alone_is_only_reached_by_that_one(host):
    with Proxy(listen=f"{host}:0", route=ROUTES) as proxy:
        assert status("127.0.0.1", proxy.port) == 204
        with pytest.raises(ConnectionRefusedError):
            status("::1", proxy.port)


def test_without_ipv6_it_listens_on_all_addresses_of_ipv4(monkeypatch):
    class NoIpv6(socket.socket):
        def __init__(self, family: int = -1, *rest, **keywords) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *rest, **keywords)

    monkeypatch.setattr(listener_module.socket, "socket", NoIpv6)
    with listen("*:0", "test") as listener:
        assert listener.family == socket.AF_INET and listener.getsockname()[0] == "0.0.0.0"
        assert url_of(listener.getsockname()) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_raw_tcp_and_the_admin_port_listen_everywhere_too(origin, serve):
    server = origin()
    proxy = serve(
        tcp=[Tcp(listen="*:0", to="web")], admin=":0", service={"web": Service(upstreams=[server.address])}
    )
    admin = int(proxy.admin_url.rpartition(":")[2])
    for host in ("127.0.0.1", "::1"):
        assert status(host, proxy.tcp_ports[0]) == 200
        assert status(host, admin) == 403, "it is reached, and refuses the name 'a'"
    assert proxy.admin_url == f"http://127.0.0.1:{admin}"


def test_what_upstreams_are_told_of_a_client_is_its_own_address(origin, serve, wire):
    server = origin()
    service = {"web": Service(upstreams=[server.address])}
    wire(serve(listen="*:0", route=[Route(to="web")], service=service)).ask()
    [asked] = server.asked
    assert (asked["X-Forwarded-For"], asked["Forwarded"].split(";")[0]) == ("127.0.0.1", "for=127.0.0.1")


def test_the_proxy_protocol_names_both_ends_by_their_own_addresses(serve):
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        port = upstream.getsockname()[1]
        service = Service(upstreams=[f"127.0.0.1:{port}"], proxy_protocol="v1")
        proxy = serve(tcp=[Tcp(listen="*:0", to="web")], service={"web": service})
        with socket.create_connection(("127.0.0.1", proxy.tcp_ports[0]), timeout=30) as client:
            accepted, _ = upstream.accept()
            with accepted:
                accepted.settimeout(30)
                line = accepted.makefile("rb").readline()
            mine = client.getsockname()[1]
    assert line == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (mine, proxy.tcp_ports[0])


def test_several_processes_share_it():
    with Proxy(listen="*:0", workers=2, route=ROUTES) as proxy:
        assert [status(host, proxy.port) for host in ("127.0.0.1", "::1")] == [204, 205]


def test_a_port_that_one_address_has_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadInput, match="is in use"):
        Proxy(listen=f"*:{taken.getsockname()[1]}", route=ROUTES).start()


def test_a_proxy_that_listens_everywhere_does_not_forward_to_itself(serve, wire):
    proxy = serve(listen="*:0", forward={"private_targets": True})
    for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        assert wire(proxy).ask(f"http://{host}:{proxy.port}/").status == 403


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("2001:db8::ffff:1", "2001:db8::ffff:1"),
        ("::ffff:1:2", "::ffff:1:2"),
    ],
)
def test_an_ipv4_peer_is_named_by_its_ipv4_address(host, plain):
    assert unmapped(host) == plain


def test_two_listeners_on_one_port_are_found_by_check(tmp_path):
    from realproxy.control.check import check

    file = tmp_path / "proxy.toml"
    port = free_port()
    for other, told in ((f"127.0.0.1:{port}", True), (f"127.0.0.2:{port}", False), (f":{port}", True)):
        file.write_text(f'listen = "127.0.0.1:{port}"\nadmin = "{other}"\nroute = [{{ respond = 200 }}]\n')
        found = [str(mistake) for mistake in check(file).mistakes]
        assert found == ([f"{file}: admin: listen listens on port {port}, too"] if told else [])
