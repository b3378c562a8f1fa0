"""TLS to upstreams: verification, kept connections, truncated bodies, and the client's address for them."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from policies.bad_input import BadInput
from realproxy import Limits, Proxy, Route, Service, UpstreamTls
from realproxy.net.proxy_protocol import LOCAL, Header, read_header

SECONDS = 30.0
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority, tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


class Origin:
    """A server whose script gets each connection, after the handshake if there is one."""

    def __init__(self, script: Callable, context: ssl.SSLContext | None, *, announced: bool) -> None:
        self._script, self._context, self._announced = script, context, announced
        self.headers: list[Header] = []
        self.versions: list[str | None] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(SECONDS)
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            if self._announced:
                said = b""
                while (header := read_header(said)) is None:
                    if not (piece := sock.recv(1)):
                        return  # broken off before it was said
                    said += piece
                self.headers.append(header)
            if self._context is None:
                self._script(sock)
                return
            with self._context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False) as secure:
                self.versions.append(secure.version())
                self._script(secure)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(SECONDS)


def read_head(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        if not (piece := sock.recv(1)):
            raise EOFError
        data += piece
    return data


def answering(sock: socket.socket) -> None:
    with contextlib.suppress(EOFError):
        while True:
            read_head(sock)
            sock.sendall(HELLO)


@pytest.fixture
def origin(authority) -> Iterator[Callable[..., Origin]]:
    with contextlib.ExitStack() as stack:

        def start(
            script: Callable = answering, *names: str, tls: bool = True, announced: bool = False
        ) -> Origin:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
            if context is not None:
                authority.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
            server = Origin(script, context, announced=announced)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def proxied(serve, ca) -> Callable[..., Proxy]:
    """A proxy in front of a server; it is stopped before that, so that no kept connection lasts."""

    def start(server: Origin, host: str = "localhost", tls: object = None, **settings) -> Proxy:
        keys = {"tls": tls if tls is not None else UpstreamTls(ca=ca), **settings}
        service = Service(upstreams=[f"{host}:{server.port}"], **keys)
        limits = Limits(drain="0s", connect_timeout="30s")
        return serve(route=[Route(to="web")], service={"web": service}, limits=limits)

    return start


def test_an_answer_that_comes_while_the_body_is_on_its_way_is_seen_at_once(origin, proxied, wire):
    """It was decrypted to find out whether there is any: the network has nothing more to tell then."""

    def refuse(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert sock.recv(4) == b"part"
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(OSError):
            sock.recv(1)

    client = wire(proxied(origin(refuse)))
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
    assert client.answer().status == 100
    client.send("part")
    assert client.answer().status == 413


# --- verification ------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_checked_upstream_is_asked_over_one_kept_connection(origin, proxied, wire, host):
    server = origin()
    proxy = proxied(server, host)
    for _ in range(2):
        client = wire(proxy)
        assert [client.ask().body for _ in range(3)] == [b"hello"] * 3
    assert (server.connections, server.versions) == (1, ["TLSv1.3"])
    proxy.stop()


def test_a_certificate_that_nobody_vouches_for_is_refused(origin, serve, proxied, wire):
    server = origin()
    answer = wire(proxied(server, tls=True)).ask()
    assert answer.status == 502
    assert b"TLS with localhost" in answer.body


def test_a_certificate_with_another_name_is_refused_unless_that_name_is_expected(origin, proxied, wire, ca):
    server = origin(answering, "inside.test")
    answer = wire(proxied(server)).ask()
    assert answer.status == 502
    assert b"mismatch" in answer.body
    assert wire(proxied(server, tls=UpstreamTls(ca=ca, name="inside.test"))).ask().body == b"hello"


def test_without_verification_anybody_is_believed(origin, proxied, wire):
    server = origin(answering, "inside.test")
    assert wire(proxied(server, tls={"verify": False})).ask().body == b"hello"


def test_the_scheme_of_the_upstreams_is_enough(origin, serve, wire, ca):
    server = origin()
    address = f"https://localhost:{server.port}"
    service = Service(upstreams=[address, {"address": address, "weight": 2}], tls={"ca": ca})
    assert [upstream.address for upstream in service.upstreams] == [f"localhost:{server.port}"] * 2
    proxy = serve(route=[Route(to="web")], service={"web": service}, limits=Limits(drain="0s"))
    assert wire(proxy).ask().body == b"hello"
    assert Service(upstreams="https://api.test").upstreams[0].address == "api.test:443"
    assert Service(upstreams="https://api.test/").tls == UpstreamTls()
    proxy.stop()


def test_wrong_settings_get_one_line(tmp_path):
    def complaint(**service) -> str:
        with pytest.raises(BadInput) as refused:
            Proxy(route=[{"to": "web"}], service={"web": {"upstreams": "a:1", **service}})
        return str(refused.value)

    (tmp_path / "empty").write_text("", encoding="utf-8")
    assert complaint(tls={"ca": str(tmp_path / "empty")}).endswith("empty' holds no certificate")
    assert "service.web.tls.ca: '/nowhere' cannot be read" in complaint(tls={"ca": "/nowhere"})
    assert "'https://' before every upstream" in complaint(upstreams=["https://a", "b:1"])
    tls_by_tcp = {
        "tcp": [{"listen": "127.0.0.1:0", "to": "web"}],
        "service": {"web": {"upstreams": "a:1", "tls": True}},
    }
    with pytest.raises(BadInput, match=r"tcp\.0\.to: service 'web' has tls"):
        Proxy(**tls_by_tcp)


def test_an_upstream_that_speaks_no_tls_is_a_bad_gateway(origin, proxied, wire):
    def plain(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert wire(proxied(origin(plain, tls=False))).ask().status == 502


def test_an_upstream_that_never_finishes_its_handshake_is_late(origin, serve, wire, ca):
    def silent(sock: socket.socket) -> None:
        while sock.recv(1000):
            pass

    server = origin(silent, tls=False)
    service = Service(upstreams=[f"localhost:{server.port}"], tls={"ca": ca})
    limits = Limits(connect_timeout="300ms", drain="0s")
    proxy = serve(route=[Route(to="web")], service={"web": service}, limits=limits)
    assert wire(proxy).ask().status == 504


# --- bodies and protocols ----------------------------------------------------------------------


def test_bodies_go_both_ways_whole(origin, proxied, wire):
    blob = os.urandom(2_000_000)

    def mirror(sock: socket.socket) -> None:
        read_head(sock)
        body = b""
        while len(body) < len(blob) and (piece := sock.recv(2**16)):
            body += piece
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    client = wire(proxied(origin(mirror)))
    client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(blob)}\r\n\r\n")
    sender = threading.Thread(target=client.send, args=(blob,))
    sender.start()
    assert client.answer().body == blob
    sender.join()


def ending(*, properly: bool) -> Callable[[ssl.SSLSocket], None]:
    def script(sock: ssl.SSLSocket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nall there is")
        if properly:
            sock.unwrap()
        else:
            sock.shutdown(socket.SHUT_RDWR)  # without a close_notify

    return script


def test_a_body_that_ends_with_the_connection_ends_properly_or_is_cut(origin, proxied, wire):
    whole = wire(proxied(origin(ending(properly=True)))).ask()
    assert (whole.body, whole["Transfer-Encoding"]) == (b"all there is", "chunked")
    cut = wire(proxied(origin(ending(properly=False))))
    with pytest.raises((ConnectionError, ValueError)):  # no last chunk comes
        cut.ask()


def test_an_upgrade_goes_through_both_layers_of_tls(origin, proxied, wire):
    def echo(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        while data := sock.recv(2**16):
            sock.sendall(data)

    client = wire(proxied(origin(echo)))
    assert client.ask("/", "GET", *WEBSOCKET).status == 101
    assert client.reader.read(5) == b"first"
    blob = os.urandom(1_000_000)
    sender = threading.Thread(target=client.send, args=(blob,))
    sender.start()
    assert client.reader.read(len(blob)) == blob
    sender.join()


def test_an_upload_waits_for_the_answer_and_not_for_session_tickets(origin, proxied, wire):
    """They arrive first, and make the connection readable: no sign that the upstream has answered."""

    def late(sock: socket.socket) -> None:
        with contextlib.suppress(EOFError):
            while True:  # it keeps its connection: an upload is not sent twice to one that closes
                head = read_head(sock)
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                while size and (piece := sock.recv(size)):
                    size -= len(piece)
                sock.sendall(HELLO)

    client = wire(proxied(origin(late)))
    for _ in range(3):
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n")
        for _ in range(4):
            client.send(b"x" * 100_000)
        assert client.answer().body == b"hello"


def test_health_checks_and_hedges_speak_tls(origin, proxied, wire, until):
    server = origin()
    checked = proxied(server, health={"every": "50ms", "rise": 1, "fall": 1})
    until(lambda: server.connections >= 3)
    assert wire(checked).ask().body == b"hello"
    assert not any(upstream.get("down") for upstream in checked.stats()["upstreams"]["web"])

    def slow(sock: socket.socket) -> None:
        with contextlib.suppress(EOFError):
            read_head(sock)
            if b"first" not in started:
                started.append(b"first")
                released.wait(SECONDS)
            sock.sendall(HELLO)

    started, released = [], threading.Event()
    hedged = proxied(origin(slow), hedge={"after": "100ms"})
    assert wire(hedged).ask().body == b"hello"
    released.set()


# --- the PROXY protocol on the way out ---------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("tls", [True, False])
def test_upstreams_are_told_of_each_client_on_connections_of_its_own(origin, proxied, wire, ca, version, tls):
    server = origin(tls=tls, announced=True)
    proxy = proxied(server, tls=UpstreamTls(ca=ca) if tls else False, proxy_protocol=version)
    clients = [wire(proxy), wire(proxy)]
    for client in clients * 2:
        assert client.ask().body == b"hello"
    assert [header.source for header in server.headers] == [
        client.sock.getsockname() for client in clients
    ] * 2


def test_the_proxys_own_questions_name_nobody(origin, proxied, until):
    server = origin(tls=False, announced=True)
    proxied(server, tls=False, proxy_protocol="v2", health={"every": "50ms"})
    until(lambda: len(server.headers) >= 2)
    assert {header.source for header in server.headers} == {None}
    assert all(read_header(local) == Header(len(local), None) for local in LOCAL.values())


def test_files_of_authorities_are_read_again_at_a_reload(origin, proxied, wire, tmp_path, authority):
    server, file = origin(), tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    proxy = proxied(server, tls=UpstreamTls(ca=str(file)))
    assert wire(proxy).ask().status == 502
    authority.cert_pem.write_to_path(Path(file))
    proxy.reload(proxy.settings)
    assert wire(proxy).ask().body == b"hello"
    proxy.stop()
