"""TLS on the listener: requests, tunnels and upgrades are served through it, and ends are proper."""

import contextlib
import os
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest
import requests

from realproxy import Forward, ProxyProtocol, RouteCache
from realproxy.net.proxy_protocol import header_v2

SECONDS = 30.0


def test_a_client_is_served_over_tls_on_one_connection(origin, serve, secure, shop):
    server = origin()
    proxy = serve(server, tls=shop)
    assert proxy.url.startswith("https://")
    client = secure(proxy)
    for _ in range(3):
        assert client.ask().body == b"hello"
    assert client.sock.version() == "TLSv1.3"
    assert server.asked[0]["X-Forwarded-Proto"] == "https"
    assert proxy.stats()["accepted"] == 1


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "http"])
def test_a_target_in_absolute_form_is_served_under_either_scheme(origin, serve, secure, shop, scheme):
    server = origin()
    client = secure(serve(server, tls=shop))
    for url, path in (("shop.test/a?b", "/a?b"), ("shop.test:443", "/")):
        assert client.ask(f"{scheme}://{url}").body == b"hello"
        assert (server.asked[-1].target, server.asked[-1]["X-Forwarded-Proto"]) == (path, "https")
    assert [asked["Host"] for asked in server.asked] == ["shop.test", "shop.test:443"]


def test_https_to_elsewhere_needs_a_tunnel_also_over_tls(origin, serve, secure, shop):
    client = secure(serve(server := origin(), tls=shop, forward=Forward(private_targets=True)))
    assert client.ask(f"https://{server.address}/").status == 501
    assert server.asked == []


def test_requests_and_curl_are_served(origin, serve, shop, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    proxy = serve(origin(), tls=shop)
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(tmp_path / "ca.pem")
        assert [session.get(proxy.url, timeout=30).text for _ in range(2)] == ["hello"] * 2


@pytest.mark.needs("curl")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_speaks_either_version_and_http_1_1(origin, serve, shop, authority, tmp_path, version):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    proxy = serve(origin(), tls=shop)
    shown = subprocess.run(
        ["curl", "-sv", "--http2", f"--tlsv{version}", "--tls-max", version, "--cacert", tmp_path / "ca.pem",
         proxy.url, proxy.url], capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert shown.stdout == "hellohello", shown.stderr
    assert "http/1.1" in shown.stderr
    assert proxy.stats()["accepted"] == 1


def test_pipelined_requests_in_one_record_are_all_answered(origin, serve, secure, shop):
    client = secure(serve(origin(), tls=shop))
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n" * 40)
    assert [client.answer().body for _ in range(40)] == [b"hello"] * 40


def test_an_upgrade_goes_through(origin, serve, secure, shop):
    def echo(asked) -> None:
        asked.sock.sendall(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        while data := asked.sock.recv(2**16):
            asked.sock.sendall(data)

    client = secure(serve(origin(echo), tls=shop))
    assert client.ask("/", "GET", "Connection: Upgrade", "Upgrade: websocket").status == 101
    assert client.reader.read(5) == b"first"
    blob = os.urandom(300_000)
    assert sent_and_read(client.sock, blob) == blob


def sent_and_read(sock: ssl.SSLSocket, data: bytes) -> bytes:
    """As many bytes as are sent, read while they are sent: by one thread, for OpenSSL allows no two."""
    sock.setblocking(False)
    left, received = memoryview(data), bytearray()
    while len(received) < len(data):
        assert any(select.select([sock], [sock] if left else [], [], SECONDS))
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while left:
                left = left[sock.send(left[: 2**14]) :]
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := sock.recv(2**16):
                received += piece
    return bytes(received)


def test_a_request_that_comes_in_many_records_is_put_together(origin, serve, secure, shop):
    server = origin()
    client = secure(serve(server, tls=shop))
    for piece in ("PO", "ST / HTTP/1.1\r\nHost: shop.test\r\nContent-Le", "ngth: 300000\r\n\r", "\n"):
        client.send(piece)
    for _ in range(30):
        client.send(b"x" * 10_000)
    assert client.answer().body == b"hello"
    assert server.asked[0].body == b"x" * 300_000


def test_large_bodies_go_through_whole(origin, serve, secure, shop):
    body = os.urandom(5_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    client = secure(serve(origin(lambda _: head + body), tls=shop))
    assert client.ask().body == body
    assert client.ask().body == body


def test_who_waits_for_anothers_fetch_over_tls_is_sent_it_too(origin, serve, secure, shop, until):
    """Clients that do not read delay no others, even if one of them fetches; in the end they get it all."""
    gate, body = threading.Event(), os.urandom(6_000_000)

    def script(_) -> bytes:
        assert gate.wait(60)
        return b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )

    server = origin(script)
    proxy = serve(server, tls=shop, caching=RouteCache(coalesce=True))
    clients = []
    for _ in range(4):
        clients.append(secure(proxy).send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
        until(lambda: len(server.asked) == 1)
        until(lambda: proxy.stats()["waiting"] == len(clients) - 1)
    gate.set()
    for client in reversed(clients):
        assert client.answer().body == body
        until(lambda: proxy.stats()["cache_objects"] == 1)
        assert client.ask("/", "HEAD").status == 200, "and the connection lives on"
    assert len(server.asked) == 1


def test_an_end_is_announced(origin, serve, secure, shop):
    client = secure(serve(origin(), tls=shop))
    answer = client.ask("/", "GET", "Connection: close")
    assert answer.body == b"hello"
    assert client.reader.read() == b""  # an end without close_notify would raise


def test_a_cut_body_that_ends_with_the_connection_is_no_proper_end(origin, serve, secure, shop, context):
    """To an HTTP/1.0 client the end of the connection is all that says that a body is whole."""

    def half(asked) -> None:
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    client = secure(serve(origin(half), tls=shop))
    client.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.answer()


def test_the_proxy_protocol_comes_before_tls(origin, serve, secure, shop, tmp_path):
    server = origin()
    proxy = serve(server, tls=shop, proxy_protocol=ProxyProtocol(from_=["127.0.0.1/32"]))
    client = secure(proxy, before=header_v2(("203.0.113.7", 1000), ("198.51.100.1", 443)))
    for _ in range(2):
        assert client.ask().body == b"hello"
    assert [asked["X-Forwarded-For"] for asked in server.asked] == ["203.0.113.7"] * 2


def test_an_https_proxy_carries_tunnels_with_bytes_both_ways(serve, secure, shop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        proxy = serve(tls=shop, forward=Forward(private_targets=True, connect_ports=[port]))
        client = secure(proxy)
        assert client.ask(f"127.0.0.1:{port}", "CONNECT").status == 200
        target, _ = listener.accept()
        with target:
            target.settimeout(SECONDS)
            blob = os.urandom(3_000_000)
            sending = threading.Thread(target=target.sendall, args=(blob,))
            sending.start()
            assert client.reader.read(len(blob)) == blob
            sending.join()
            sending = threading.Thread(target=client.sock.sendall, args=(blob,))
            sending.start()
            assert b"".join(read(target, len(blob))) == blob
            sending.join()
            target.shutdown(socket.SHUT_WR)
            assert client.reader.read() == b""


def read(sock: socket.socket, size: int) -> Iterator[bytes]:
    while size:
        data = sock.recv(min(size, 2**18))
        assert data
        size -= len(data)
        yield data
