"""TLS on the listener: certificates by name, handshakes that hold up nobody, proper and improper ends."""

import contextlib
import os
import random
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme
from cryptography.hazmat.primitives import serialization

from policies.problems import BadInput
from realproxy import Certificate, Forward, Limits, Match, Proxy, ProxyProtocol, Route, RouteCache, Service
from realproxy.certificates import names_in
from realproxy.check import check
from realproxy.proxy_protocol import header_v2
from realproxy.tls import TlsSocket

SECONDS = 30.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority, tmp_path_factory) -> Callable[..., Certificate]:
    """A certificate for some names, in files."""

    def issue(*names: str, folder: Path | None = None, **settings) -> Certificate:
        folder = folder or tmp_path_factory.mktemp("certificate")
        leaf = authority.issue_cert(*names)
        leaf.private_key_pem.write_to_path(folder / "key.pem")
        (folder / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        return Certificate(cert=str(folder / "cert.pem"), key=str(folder / "key.pem"), **settings)

    return issue


@pytest.fixture(scope="module")
def shop(certified) -> Certificate:
    return certified("shop.test", "localhost", "127.0.0.1")


@pytest.fixture
def context(authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def secure(context, wire) -> Callable:
    def connect(proxy: Proxy, name: str = "shop.test", before: bytes = b"", with_context=None):
        client = wire(proxy)
        client.sock.sendall(before)
        client.reader.close()
        client.sock = (with_context or context).wrap_socket(
            client.sock, server_hostname=name, suppress_ragged_eofs=False
        )
        client.reader = client.sock.makefile("rb")
        return client

    return connect


def hold_raw(proxy: Proxy, first: bytes = b"") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=SECONDS)
    sock.sendall(first)
    return sock


CLIENT_HELLO_START = bytes.fromhex("1603010200010001fc0303")


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
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 40)
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
    for piece in ("PO", "ST / HTTP/1.1\r\nHost: a\r\nContent-Le", "ngth: 300000\r\n\r", "\n"):
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


# --- certificates ------------------------------------------------------------------------------


def test_who_waits_for_anothers_fetch_over_tls_is_sent_it_too(origin, serve, secure, shop, until):
    """Those who do not read, the one who fetches among them, delay nobody, and get all of it in the end."""
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


def test_the_certificate_follows_the_name_that_is_asked_for(origin, serve, secure, certified):
    certificates = [certified("shop.test"), certified("*.books.test", "books.test"), certified("other.test")]
    proxy = serve(origin(), tls=certificates)
    for name in ("shop.test", "books.test", "www.books.test", "OTHER.test"):
        assert secure(proxy, name).ask().body == b"hello"
    for name in ("elsewhere.test", "a.b.books.test"):  # no certificate has it: the first is shown
        with pytest.raises(ssl.SSLCertVerificationError):
            secure(proxy, name)


def test_names_in_the_settings_come_before_those_of_the_certificate(origin, serve, secure, certified):
    certificates = [certified("shop.test", names=["nothing.test"]), certified("shop.test", "b.test")]
    client = secure(serve(origin(), tls=certificates), "shop.test")
    names = [value for kind, value in client.sock.getpeercert()["subjectAltName"]]
    assert names == ["shop.test", "b.test"]


def test_a_certificates_own_names_are_read(authority):
    names = ["shop.test", "*.shop.test", "127.0.0.1", "::1", "xn--bcher-kva.test"]
    pem = authority.issue_cert(*names).cert_chain_pems[0].bytes().decode()
    assert names_in(pem) == names


def test_routes_look_at_the_name_of_the_handshake(origin, serve, secure, certified):
    server = origin()
    proxy = serve(
        tls=[certified("a.test", "b.test")],
        route=[Route(when=Match(sni="a.*"), to="web"), Route(respond=418)],
        service={"web": Service(upstreams=server.address)},
    )
    assert secure(proxy, "a.test").ask(host="b.test").status == 200
    assert secure(proxy, "b.test").ask(host="a.test").status == 418


def test_changed_files_are_picked_up_and_bad_ones_leave_the_old(origin, serve, secure, certified, tmp_path):
    old = certified("old.test", folder=tmp_path)
    proxy = serve(origin(), tls=old)
    kept = secure(proxy, "old.test")
    certified("new.test", folder=tmp_path)
    assert secure(proxy, "old.test").ask().status == 200
    proxy.reload(proxy.settings)
    assert secure(proxy, "new.test").ask().status == 200
    assert kept.ask().status == 200  # who is connected stays
    Path(old.cert).write_text("nonsense", encoding="utf-8")
    with pytest.raises(BadInput, match=r"tls\.cert: '.*cert.pem' holds no certificate in PEM form"):
        proxy.reload(proxy.settings)
    assert secure(proxy, "new.test").ask().status == 200


def test_wrong_files_get_one_line_each(certified, tmp_path):
    good, other = certified("a.test"), certified("b.test")
    (tmp_path / "broken.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", encoding="utf-8"
    )
    private = serialization.load_pem_private_key(Path(good.key).read_bytes(), None)
    (tmp_path / "locked").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    file = tmp_path / "proxy.toml"

    def complaint(cert: object, key: object) -> str:
        text = f"tls = {{ cert = '{cert}', key = '{key}' }}\nroute = [{{ respond = 200 }}]\n"
        file.write_text(text, encoding="utf-8")
        [problem] = check(file)
        with pytest.raises(BadInput) as refused:
            Proxy.load(file).start()
        assert str(refused.value) == str(problem)
        return str(problem).removeprefix(f"{file}: ")

    assert complaint(tmp_path / "none", good.key).endswith("cannot be read: no such file or directory")
    assert complaint(good.cert, good.cert) == f"tls.key: {good.cert!r} holds no private key in PEM form"
    assert complaint(good.cert, other.key) == f"tls.key: {other.key!r} is not the key of {good.cert!r}"
    assert complaint(tmp_path / "broken.pem", good.key).startswith("tls.cert: ")
    assert "is encrypted" in complaint(good.cert, tmp_path / "locked")
    file.write_text(
        f"route = [{{ respond = 200 }}]\ntls = [{{ cert = '{good.cert}', key = '{good.key}' }},"
        f" {{ cert = '{good.cert}', key = '{other.key}' }}]\n", encoding="utf-8",
    )  # fmt: skip
    [problem] = check(file)
    assert problem.key == "tls.1.key"


# --- handshakes --------------------------------------------------------------------------------


def test_who_never_finishes_a_handshake_holds_up_nobody(origin, serve, secure, shop, until):
    """More of them than there are threads, with nothing sent, with a part, and byte by byte."""
    proxy = serve(origin(), tls=shop, limits=Limits(threads=2, header_timeout="60s", drain="0s"))
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(hold_raw(proxy))
        partial = [stack.enter_context(hold_raw(proxy, CLIENT_HELLO_START)) for _ in range(20)]
        for number in range(8):
            for sock in partial:
                sock.sendall(b"\x00" if number else b"\x01")
            assert secure(proxy).ask().body == b"hello"
        assert proxy.stats()["connections"] == 48, "nobody has given up meanwhile"


def test_a_handshake_that_is_not_finished_ends_when_a_head_would_be_due(origin, serve, shop, until):
    proxy = serve(origin(), tls=shop, limits=Limits(header_timeout="200ms", drain="0s"))
    with hold_raw(proxy) as silent, hold_raw(proxy, CLIENT_HELLO_START) as partial:
        for sock in (silent, partial):
            with contextlib.suppress(ConnectionError):
                while sock.recv(4096):
                    pass
        until(lambda: proxy.stats()["connections"] == 0)


def test_no_handshake_is_done_by_the_thread_that_accepts(origin, serve, secure, shop, monkeypatch):
    done_by = set()
    handshake = TlsSocket.handshake

    def noted(sock: TlsSocket) -> bool:
        done_by.add(threading.current_thread().name)
        return handshake(sock)

    monkeypatch.setattr(TlsSocket, "handshake", noted)
    assert secure(serve(origin(), tls=shop)).ask().body == b"hello"
    assert done_by == {"proxy-worker"}


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x00\x02\x01\x00", b"\xff" * 64]
)
def test_what_is_no_handshake_is_closed(origin, serve, shop, noise):
    proxy = serve(origin(), tls=shop)
    with hold_raw(proxy, noise) as sock, contextlib.suppress(ConnectionError):
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert not answer.startswith(b"HTTP")


def test_old_versions_are_refused(origin, serve, secure, shop, context):
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        secure(serve(origin(), tls=shop))


def test_a_stop_does_not_wait_for_handshakes(origin, serve, shop):
    proxy = serve(origin(), tls=shop, limits=Limits(drain="30s"))
    with hold_raw(proxy, CLIENT_HELLO_START), hold_raw(proxy):
        began = time.monotonic()
        proxy.stop()
        assert time.monotonic() - began < 20


def descriptors() -> int:
    """Open ones of this process: the proxy's, the origin's and those of the test."""
    return len(list(Path("/proc/self/fd").iterdir()))


def leave_rudely(sock: socket.socket, chance: random.Random) -> None:
    """Close, or reset the connection."""
    if chance.random() < 0.5:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_wherever_clients_break_off_nothing_of_them_is_left(origin, serve, secure, shop, context, until):
    """In the handshake, before a request, in the middle of one, or before its answer was read."""
    proxy, chance = (
        serve(origin(), tls=shop, limits=Limits(header_timeout="1s", drain="0s")),
        random.Random(1),
    )
    assert secure(proxy).ask().body == b"hello"
    before = descriptors()
    for number in range(120):
        sock = hold_raw(proxy)
        with contextlib.suppress(OSError):
            if number % 4 == 0:
                sock.sendall(chance.randbytes(chance.randint(1, 300)))
            elif number % 4 == 1:
                sock.sendall(CLIENT_HELLO_START + bytes(chance.randint(0, 100)))
            else:
                sock = context.wrap_socket(sock, server_hostname="shop.test")
                request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                sock.sendall(request[: chance.randint(1, len(request))])
        leave_rudely(sock, chance)
    until(lambda: proxy.stats()["connections"] == 1)
    until(lambda: descriptors() - before <= 2 * proxy.stats()["upstream_idle"])
    assert secure(proxy).ask().body == b"hello"


# --- the end of a connection -------------------------------------------------------------------


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
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.answer()


# --- together with other layers ----------------------------------------------------------------


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


# --- the socket itself -------------------------------------------------------------------------


@pytest.fixture
def pair(shop, context) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    from realproxy.certificates import Certificates

    one, other = socket.socketpair()
    server = TlsSocket(one, Certificates([shop], "test").context)
    client = TlsSocket(other, context, "shop.test")
    while not all([client.handshake(), server.handshake()]):
        pass
    yield server, client
    server.close()
    client.close()


def test_what_could_not_be_sent_is_offered_again_and_arrives_once(pair):
    server, client = pair
    server.setblocking(False)
    blob = memoryview(os.urandom(4_000_000))
    left, received, refused = blob, b"", 0
    while left or len(received) < len(blob):
        with contextlib.suppress(BlockingIOError):
            while left:
                left = left[server.send(left) :]
        refused += bool(left)
        with contextlib.suppress(BlockingIOError):
            received += client.recv(2**16, socket.MSG_DONTWAIT)
    assert received == blob
    assert refused


def test_nothing_is_left_inside_when_a_read_would_block(pair):
    server, client = pair
    for size in (1, 2**14, 2**14 + 1, 2**18):
        sender = threading.Thread(target=client.sendall, args=(b"x" * size,))
        sender.start()
        received = 0
        while received < size:
            received += len(server.recv(10))
        sender.join()
        with pytest.raises(BlockingIOError):
            server.recv(10, socket.MSG_DONTWAIT)


def test_a_peek_takes_nothing(pair):
    server, client = pair
    with pytest.raises(BlockingIOError):
        server.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    client.sendall(b"hello")
    assert server.recv(1, socket.MSG_PEEK) == b"h"
    buffer = bytearray(3)
    assert (server.recv_into(memoryview(buffer)), bytes(buffer), server.recv(9)) == (3, b"hel", b"lo")


def test_a_proper_end_is_empty_and_any_other_an_error(pair):
    server, client = pair
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert (server.recv(9), server.recv(9), server.recv(9)) == (b"last", b"", b"")
    server.sendall(b"answer")  # the other direction goes on
    assert client.recv(9) == b"answer"
    server.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionError):
        client.recv(9)
