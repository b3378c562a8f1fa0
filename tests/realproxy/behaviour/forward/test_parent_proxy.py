"""Chains of proxies: asking a parent over http, https and socks5, and what happens when it fails."""

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from realproxy import BadInput, Forward, Limits, Log, Proxy

PATIENT = Limits(drain="1s")
QUICK = Limits(answer_timeout="500ms", drain="1s")


def forward(**keys) -> Forward:
    return Forward(**{"private_targets": True, **keys})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return folder


@pytest.fixture
def chain(serve, certificates):
    """A parent and a child that asks it; returns both."""

    def start(scheme: str, credentials: str = "", child=None, **parent) -> tuple[Proxy, Proxy]:
        tls = {"cert": str(certificates / "cert.pem"), "key": str(certificates / "key.pem")}
        keywords = {"tls": tls} if scheme == "https" else {}
        far = serve(forward=forward(connect_ports=range(1, 65536), **parent), **keywords)
        child = {"parent_ca": str(certificates / "ca.pem") if scheme == "https" else None, **(child or {})}
        url = f"{scheme}://{credentials}localhost:{far.port}"
        return far, serve(forward=forward(parent=url, connect_ports=range(1, 65536), **child), limits=PATIENT)

    return start


SCHEMES = ["http", "https", "socks5"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("credentials", ["", "alice:s%40cret@"])
def test_each_protocol_goes_through_a_chain_of_two(origin, chain, wire, scheme, credentials):
    server = origin()
    far, near = chain(scheme, credentials, auth={"alice": "s@cret"} if credentials else {})
    client = wire(near)
    for _ in range(2):
        assert client.ask(f"http://{server.address}/plain").body == b"hello"
    client = wire(near)
    assert client.ask(server.address, "CONNECT").status == 200
    assert client.ask("/tunnel").body == b"hello"
    client = wire(near).send(b"\x05\x01\x00\x05\x01\x00\x01\x7f\0\0\1" + server.port.to_bytes(2, "big"))
    assert client.reader.read(12)[:4] == b"\x05\x00\x05\x00"
    assert client.ask("/socks").body == b"hello"
    assert [asked.target for asked in server.asked] == ["/plain"] * 2 + ["/tunnel", "/socks"]
    assert far.stats()["requests"] >= 3
    vias = server.asked[0].all("Via")
    assert vias == ["1.1 proxytwin"] * (1 if scheme == "socks5" else 2)
    assert all(asked["Proxy-Authorization"] is None for asked in server.asked)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connections_to_the_parent_are_kept(origin, chain, wire, scheme):
    server = origin()
    far, near = chain(scheme)
    for number in range(3):
        assert wire(near).ask(f"http://{server.address}/{number}").body == b"hello"
    assert far.stats()["accepted"] == 1


@pytest.mark.needs("curl")
@pytest.mark.parametrize("option", ["-x", "--socks5-hostname", "--socks4a"])
def test_curl_through_a_chain(origin, chain, option):
    server = origin()
    _, near = chain("socks5")
    command = ["curl", "-sS", "--max-time", "10", option, f"127.0.0.1:{near.port}"]
    result = subprocess.run([*command, f"http://localhost:{server.port}/"], capture_output=True, check=True)
    assert result.stdout == b"hello"


def test_credentials_of_the_client_stay_here_and_those_for_the_parent_go_there(chain, wire):
    _, near = chain("http", "alice:secret@", {"auth": {"bob": "hush"}}, auth={"alice": "secret"})
    client = wire(near)
    assert client.ask("http://nowhere.invalid/").status == 407
    bob = "Proxy-Authorization: Basic Ym9iOmh1c2g="
    answer = client.ask("http://nowhere.invalid/", "GET", bob)
    assert (answer.status, b"cannot resolve nowhere.invalid" in answer.body) == (502, True)  # the parent's


@pytest.mark.parametrize("scheme", SCHEMES)
def test_wrong_credentials_for_the_parent_are_a_bad_gateway(origin, chain, wire, scheme):
    server = origin()
    _, near = chain(scheme, "alice:wrong@", auth={"alice": "secret"})
    for method, target in (("GET", f"http://{server.address}/"), ("CONNECT", server.address)):
        answer = wire(near).ask(target, method)
        assert (answer.status, answer["Proxy-Authenticate"]) == (502, None)
        assert b"the parent" in answer.body and b"wrong@" not in answer.body
    assert server.asked == []


def test_what_the_parent_refuses_is_told(origin, chain, wire, tmp_path):
    _, near = chain("socks5", block=["127.0.0.1"])
    answer = wire(near).ask("http://127.0.0.1:81/")
    assert (answer.status, b"socks5://localhost" in answer.body) == (502, True)
    assert b"not allowed" in answer.body


def test_names_are_left_to_the_parent(chain, wire, monkeypatch):
    _, near = chain("http", child={"private_targets": False})
    answer = wire(near).ask("http://nowhere.invalid/")
    assert (answer.status, b"cannot resolve" in answer.body) == (502, True)
    for host in ("localhost", "a.localhost", "127.0.0.1"):
        answer = wire(near).ask(f"http://{host}/")
        assert (answer.status, b"forward.private_targets" in answer.body) == (403, True)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "127.0.0.1.", "0", "[::ffff:127.0.0.1]"])
def test_an_address_is_no_name_however_it_is_written(chain, wire, scheme, host):
    far, near = chain(scheme, child={"private_targets": False})
    answer = wire(near).ask(f"http://{host}/")
    assert (answer.status, b"forward.private_targets" in answer.body) == (403, True)
    assert far.stats()["accepted"] == 0


@pytest.mark.parametrize("block", ["127.0.0.0/8", "::1"])
def test_networks_of_loopback_hold_for_its_name_and_the_proxys_own_ports_are_its_own(chain, wire, block):
    far, near = chain("http", child={"block": [block]})
    assert wire(near).ask("http://localhost/").status == 403
    assert far.stats()["accepted"] == 0
    far, near = chain("http")
    answer = wire(near).ask(f"http://localhost:{near.port}/")
    assert (answer.status, b"is this proxy itself" in answer.body) == (403, True)


def test_block_lists_hold_before_the_parent_is_asked(chain, wire):
    far, near = chain("http", child={"block": ["*.ads.test", "192.0.2.0/24"]})
    assert wire(near).ask("http://www.ads.test/").status == 403
    assert wire(near).ask("http://192.0.2.7/").status == 403
    assert far.stats()["requests"] == 0


def test_datagrams_do_not_go_through_a_parent(chain, wire, tmp_path):
    _, near = chain("http")
    client = wire(near).send(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0")
    assert client.reader.read(4) == b"\x05\x00\x05\x07"


# --- parents that fail -------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[Callable]:
    """A server that says something to each connection, whatever it is asked, and waits for its end."""
    with contextlib.ExitStack() as stack:

        def start(says: bytes) -> int:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        sock, _ = server.accept()
                        with sock:
                            sock.settimeout(30)
                            sock.recv(1000)
                            sock.sendall(says)
                            while says and says[-1:] != b"!" and sock.recv(1000):
                                pass

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            return server.getsockname()[1]

        yield start


FAILING = [
    ("http", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 502, b"it answers 403"),
    ("http", b"HTTP/1.1 407 Prove it\r\nContent-Length: 0\r\n\r\n", 502, b"it wants other credentials"),
    ("http", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", 502, b"bad Content-Length"),
    ("http", b"SSH-2.0-OpenSSH\r\n\r\n", 502, b"the parent http://localhost"),
    ("http", b"x" * 40_000, 502, b"too long"),
    ("http", b"HTTP/1.1 200!", 502, b"closed the connection"),
    ("http", b"HTTP/1.1 200 OK\r\n", 504, b"no answer in time"),
    ("socks5", b"\x05", 504, b"no answer in time"),
    ("socks5", b"\x05!", 502, b"wants a user"),
    ("socks5", b"HTTP/1.1 400 Bad\r\n\r\n", 502, b"does not speak SOCKS5"),
    ("https", b"HTTP/1.1 400 Bad\r\n\r\n", 502, b"the parent https://localhost"),
]


@pytest.mark.parametrize(("scheme", "says", "status", "detail"), FAILING)
def test_a_parent_that_fails_is_named(serve, wire, listener, scheme, says, status, detail):
    url = f"{scheme}://localhost:{listener(says)}"
    proxy = serve(
        forward=forward(parent=url, connect_ports=[443]), limits=QUICK if status == 504 else PATIENT
    )
    answer = wire(proxy).ask("a.test:443", "CONNECT")
    assert (answer.status, detail in answer.body) == (status, True), answer.body


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_parent_that_is_not_there_is_named(serve, wire, scheme, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"{scheme}://alice:secret@127.0.0.1:{nobody.getsockname()[1]}"
        log = tmp_path / "a.log"
        proxy = serve(forward=forward(parent=url), limits=PATIENT, log=Log(file=str(log)))
        answer = wire(proxy).ask("http://a.test/")
        assert (answer.status, b"connection refused" in answer.body) == (502, True)
        proxy.stop()
    assert "secret" not in log.read_text()
    assert json.loads(log.read_text())["upstream"].startswith(f"{scheme}://127.0.0.1")


def test_a_parent_with_a_certificate_of_a_stranger_is_refused(origin, chain, wire):
    _, near = chain("https", child={"parent_ca": None})
    answer = wire(near).ask("http://a.test/")
    assert (answer.status, b"self" in answer.body or b"issuer" in answer.body) == (502, True), answer.body


def test_certificates_that_cannot_be_read_are_one_line(tmp_path):
    for name, text in (("missing.pem", None), ("empty.pem", "")):
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=rf"^settings: forward.parent_ca: .*{name}: no ") as problem:
            Proxy(forward=Forward(parent="https://a.test", parent_ca=str(tmp_path / name))).start()
        assert "\n" not in str(problem.value)


def test_the_first_bytes_of_a_target_that_speaks_first_are_not_lost(origin, serve, wire, listener):
    port = listener(b"HTTP/1.1 200 Connection established\r\n\r\nbanner")
    proxy = serve(forward=forward(parent=f"http://127.0.0.1:{port}"), limits=PATIENT)
    client = wire(proxy)
    assert client.ask("a.test:443", "CONNECT").status == 200
    assert client.reader.read(6) == b"banner"
    client.close()


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("level", ["transparent", "anonymous"])
def test_parents_in_a_circle_are_found_out(serve, wire, level, length):
    proxies: list[Proxy] = []

    def settings(parent: Proxy | None) -> Forward:
        return forward(anonymity=level, parent=f"http://127.0.0.1:{parent.port}" if parent else None)

    for _ in range(length):
        proxies.append(serve(forward=settings(proxies[-1] if proxies else None), limits=PATIENT))
    proxies[0].reload(proxies[0].settings.model_copy(update={"forward": settings(proxies[-1])}))
    for method, target in (("GET", "http://shop.test/"), ("CONNECT", "shop.test:443")):
        answer = wire(proxies[0]).ask(target, method)
        assert answer.status == 508
        assert b"came through here 10 times" in answer.body or b"goes in circles" in answer.body
    assert sum(proxy.stats()["requests"] for proxy in proxies) <= 2 * 11 * length


@pytest.mark.parametrize(("level", "told"), [("anonymous", "1.1 first, 1.1 proxytwin"), ("elite", None)])
def test_a_tunnel_tells_the_parent_where_it_came_through(origin, serve, wire, level, told):
    parent = origin(lambda _: b"HTTP/1.1 200 OK\r\n\r\n")
    proxy = serve(forward=forward(anonymity=level, parent=f"http://{parent.address}"), limits=PATIENT)
    assert wire(proxy).ask("a.test:443", "CONNECT", "Via: 1.1 first").status == 200
    assert (parent.asked[0].target, parent.asked[0]["Via"]) == ("a.test:443", told)
