"""TLS on the client's side: one context for services and parent proxies, one handshake."""

import socket
import ssl
import threading
import time

import pytest

from realproxy.net.tls import TlsSocket, client_context, shake_hands


@pytest.fixture
def server(authority):
    """A server of TLS that prefers HTTP/2; gives its port, and the protocols that were agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    agreed = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as sock, context.wrap_socket(sock, server_side=True) as secured:
                agreed.append(secured.selected_alpn_protocol())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname(), agreed
        thread.join(10)


def test_a_server_is_offered_http_1_1(server, authority, tmp_path, until):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    address, agreed = server
    with TlsSocket(
        socket.create_connection(address), client_context(str(tmp_path / "ca.pem")), "localhost"
    ) as sock:
        shake_hands(sock, time.monotonic() + 10)
        until(lambda: agreed)
    assert agreed == ["http/1.1"]


def test_a_handshake_ends_at_its_deadline():
    near, far = socket.socketpair()
    with far, TlsSocket(near, client_context(None), "localhost") as sock, pytest.raises(TimeoutError):
        shake_hands(sock, time.monotonic() + 0.05)


def test_a_file_without_certificates_is_refused(tmp_path):
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ssl.SSLError):
        client_context(str(tmp_path / "empty.pem"))
    with pytest.raises(FileNotFoundError):
        client_context(str(tmp_path / "missing.pem"))


def test_an_unverified_server_needs_no_name():
    context = client_context(None, verify=False)
    assert context.verify_mode is ssl.CERT_NONE and not context.check_hostname
