"""The forward side: absolute-form and tunnels, for real clients, and what it refuses."""

import socket
import subprocess
from collections.abc import Iterator

import pytest
import requests

from realproxy import Forward, Limits, Proxy

OPEN = Forward(private_targets=True)


def tunnels_to(*ports: int) -> Forward:
    return Forward(private_targets=True, connect_ports=ports)


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["curl", "-sS", "--max-time", "10", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.needs("curl")
def test_curl_asks_through_the_proxy(origin, serve):
    server, proxy = origin(), serve(forward=OPEN)
    assert curl("-x", proxy.url, f"http://localhost:{server.port}/a").stdout == "hello"
    [asked] = server.asked
    assert (asked.target, asked.all("Host")) == ("/a", [f"localhost:{server.port}"])
    assert asked["Proxy-Connection"] is None
    assert (asked["Via"], asked["X-Forwarded-For"]) == ("1.1 proxytwin", None)


@pytest.mark.parametrize("fields", ["", "Connection: keep-alive\r\n", "Proxy-Connection: keep-alive\r\n"])
def test_a_client_of_http_1_0_does_not_keep_its_connection(origin, serve, wire, fields):
    """RFC 9112, 9.3: a proxy in between that does not know the option may have passed it on blindly."""
    server, proxy = origin(), serve(forward=OPEN)
    client = wire(proxy).send(f"GET http://{server.address}/ HTTP/1.0\r\n{fields}\r\n")
    answer = client.answer()
    assert (answer.body, answer["Connection"]) == (b"hello", "close")
    assert client.ended()
    assert server.asked[0]["Via"] == "1.0 proxytwin"


@pytest.mark.needs("curl")
def test_curl_reaches_https_through_a_tunnel(secure, serve, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    proxy = serve(forward=tunnels_to(secure))
    url = f"https://localhost:{secure}/secret"
    assert curl("-x", proxy.url, "--cacert", str(tmp_path / "ca.pem"), url).stdout == "/secret"


def test_python_requests_work_both_ways(origin, secure, serve, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server, proxy = origin(), serve(forward=tunnels_to(secure))
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy.url, "https": proxy.url}
        session.verify = str(tmp_path / "ca.pem")
        assert session.get(f"http://127.0.0.1:{server.port}/", timeout=30).text == "hello"
        assert session.get(f"https://localhost:{secure}/b", timeout=30).text == "/b"


def test_both_sides_live_on_one_port(origin, serve, wire):
    behind, elsewhere = origin(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nours"), origin()
    client = wire(serve(behind, forward=OPEN))
    assert client.ask("/").body == b"ours"
    assert client.ask(f"http://{elsewhere.address}/").body == b"hello"
    assert client.ask("/").body == b"ours"


def test_options_of_a_host_asks_for_all_of_it(origin, serve, wire):
    """RFC 9112, 3.2.4: the last proxy of a chain asks for an asterisk."""
    server, far = origin(), serve(forward=OPEN)
    near = serve(forward=Forward(private_targets=True, parent=far.url))
    for proxy in (far, near):
        for path in ("", "/", "?a"):
            assert wire(proxy).ask(f"http://{server.address}{path}", "OPTIONS").status == 200
    assert [asked.target for asked in server.asked] == ["*", "/", "/?a"] * 2
    assert all(asked.all("Host") == [server.address] for asked in server.asked)


@pytest.mark.parametrize("path", ["/", ""])
def test_https_in_absolute_form_is_not_asked_for_in_clear(origin, serve, wire, path):
    client = wire(serve(server := origin(), forward=OPEN))
    assert client.ask(f"https://{server.address}{path}").status == 501
    assert client.ended() and server.asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "0.0.0.0"]
)
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_private_targets_are_refused_by_address_and_the_rule_is_named(serve, wire, host, method):
    client = wire(serve(forward=Forward(connect_ports=[443])))
    answer = client.ask(f"{host}:443" if method == "CONNECT" else f"http://{host}/", method)
    assert answer.status == 403
    assert b"forward.private_targets" in answer.body


def test_tunnels_lead_to_permitted_ports_only(serve, wire):
    answer = wire(serve(forward=OPEN)).ask("127.0.0.1:22", "CONNECT")
    assert (answer.status, b"forward.connect_ports" in answer.body) == (403, True)


def test_protocols_that_are_off_are_off(origin, serve, wire):
    server = origin()
    only_http = serve(forward=Forward(protocols=["http"], private_targets=True))
    assert wire(only_http).ask(f"127.0.0.1:{server.port}", "CONNECT").status == 405
    only_tunnels = serve(forward=Forward(protocols=["connect"], private_targets=True))
    assert wire(only_tunnels).ask(f"http://{server.address}/").status == 404


def test_the_proxy_does_not_forward_to_itself(serve, wire):
    proxy = serve(forward=Forward(private_targets=True))
    answer = wire(proxy).ask(f"http://localhost:{proxy.port}/")
    assert (answer.status, b"itself" in answer.body) == (403, True)


def test_a_name_that_leads_nowhere_is_a_bad_gateway(serve, wire):
    assert wire(serve(forward=OPEN)).ask("http://nowhere.invalid/").status == 502


def test_answers_are_stored_where_that_is_on(origin, serve, wire):
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok")
    client = wire(serve(forward=Forward(private_targets=True, cache=True)))
    url = f"http://{server.address}/"
    assert [client.ask(url)["Cache-Status"] for _ in range(2)] == [
        "proxytwin; fwd=uri-miss; stored", "proxytwin; hit",
    ]  # fmt: skip
    assert len(server.asked) == 1


def test_what_a_route_stored_never_answers_the_forward_side(origin, serve, wire):
    fresh = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\n"
    ours, theirs = origin(lambda _: fresh + b"ours"), origin(lambda _: fresh + b"real")
    client = wire(serve(ours, caching=True, forward=Forward(private_targets=True, cache=True)))
    assert client.ask("/", host=theirs.address).body == b"ours"
    assert client.ask(f"http://{theirs.address}/").body == b"real"


# --- tunnels -----------------------------------------------------------------------------------


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


def open_tunnel(proxy: Proxy, far: socket.socket, wire) -> tuple:
    client = wire(proxy)
    port = far.getsockname()[1]
    client.send(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: a:1\r\n\r\nearly")
    target, _ = far.accept()
    target.settimeout(10)
    assert client.head().status == 200
    return client, target


def test_a_tunnel_carries_early_bytes_and_half_closes(serve, wire, far, until):
    proxy = serve(forward=tunnels_to(far.getsockname()[1]))
    client, target = open_tunnel(proxy, far, wire)
    with target:
        assert target.recv(5, socket.MSG_WAITALL) == b"early"
        client.sock.shutdown(socket.SHUT_WR)
        assert target.recv(1) == b""
        target.sendall(b"answer after the end")
        target.shutdown(socket.SHUT_WR)
        assert client.reader.read() == b"answer after the end"
    until(lambda: proxy.stats()["tunnels"] == proxy.stats()["connections"] == 0)


def test_tunnels_cost_no_worker(serve, wire, far):
    proxy = serve(forward=tunnels_to(far.getsockname()[1]), limits=Limits(threads=1, drain="0s"))
    pairs = [open_tunnel(proxy, far, wire) for _ in range(20)]
    for client, target in pairs:
        assert target.recv(5, socket.MSG_WAITALL) == b"early"
        target.sendall(b"pong")
        assert client.reader.read(4) == b"pong"
        target.close()


def test_a_side_of_a_tunnel_that_does_not_read_stops_the_other(serve, wire, far):
    proxy = serve(forward=tunnels_to(far.getsockname()[1]), limits=Limits(drain="0s"))
    client, target = open_tunnel(proxy, far, wire)
    with target:
        client.sock.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 2**28:
                sent += client.sock.send(b"x" * 2**16)
        received = 0
        client.sock.shutdown(socket.SHUT_WR)
        while data := target.recv(2**20):
            received += len(data)
        assert received == sent + 5


def test_a_silent_tunnel_is_closed(serve, wire, far):
    proxy = serve(forward=tunnels_to(far.getsockname()[1]), limits=Limits(idle_timeout="200ms", drain="0s"))
    client, target = open_tunnel(proxy, far, wire)
    with target:
        assert client.ended()
