"""Mutual TLS between proxies: who may call, what log and routes know of the caller, and what fails how."""

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from policies.bad_input import BadInput
from policies.settings import parse_settings
from realproxy import Forward, Identity, Proxy, Route, Service
from realproxy.control.check import check
from realproxy.control.explain import explain
from realproxy.downstream.connection import ReadResult
from realproxy.net.identity import name_in
from realproxy.runtime.blocking import BlockedThreads
from realproxy.server.handshake import ConnectionFactory

ANYWHERE = "127.0.0.1:0"
SIDECAR = Forward(listen=ANYWHERE, services=True)
LONG_AGO = datetime.now(UTC) - timedelta(days=2)
EXPIRED = {"not_before": LONG_AGO - timedelta(days=1), "not_after": LONG_AGO}


def write(authority: trustme.CA, folder: Path, *names: str, **validity) -> Path:
    folder.mkdir(exist_ok=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in names:
        leaf = authority.issue_cert(name, **validity)
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    return folder


@pytest.fixture(scope="module")
def certs(authority, tmp_path_factory) -> Path:
    return write(authority, tmp_path_factory.mktemp("certs"), "front", "cart", "store")


@pytest.fixture
def cart(origin, serve, certs, tmp_path):
    """The sidecar of ``cart`` with its application: only ``front`` may call it."""

    def start(folder: Path = certs, **keywords):
        app = origin()
        only_front = [Route(when={"caller": "front"}, to="app"), Route(respond=403)]
        proxy = serve(
            identity=Identity(folder=str(folder), name="cart"), route=only_front,
            service={"app": Service(upstreams=[app.address])}, log={"file": str(tmp_path / "cart.log")},
            **keywords,
        )  # fmt: skip
        return proxy, app

    return start


@pytest.fixture
def front(serve, certs):
    """The sidecar of another application, which calls the service ``cart``."""

    def start(cart: Proxy, folder: Path = certs, name: str = "front", **keywords) -> Proxy:
        service = Service(**{"upstreams": [f"127.0.0.1:{cart.port}"], "mutual": True} | keywords)
        identity = Identity(folder=str(folder), name=name)
        return serve(forward=SIDECAR, identity=identity, service={"cart": service})

    return start


@pytest.fixture
def log(tmp_path, until):
    """The lines of cart's log, once there are so many."""

    def lines(count: int = 1) -> list[dict]:
        file = tmp_path / "cart.log"
        until(lambda: file.exists() and file.read_text().count("\n") >= count)
        return [json.loads(line) for line in file.read_text().splitlines()]

    return lines


# --- who calls -------------------------------------------------------------------------------------


def test_a_sidecar_calls_another_and_each_knows_the_other(cart, front, wire, log):
    inside, app = cart()
    outside = front(inside)
    assert inside.url.startswith("https://")
    answer = wire(outside.forward_port).ask("http://cart/items", host="cart")
    assert (answer.status, answer.body) == (200, b"hello")
    [line] = log()
    assert (line["caller"], line["route"], line["host"]) == ("front", 0, "cart")
    [asked] = app.asked
    assert (asked["X-Forwarded-Proto"], asked["Host"]) == ("https", "cart")


def test_another_caller_is_not_taken_for_the_one_that_a_route_names(cart, front, wire, log):
    inside, app = cart()
    outside = front(inside, name="store")
    assert wire(outside.forward_port).ask("http://cart/items", host="cart").status == 403
    assert log()[0]["caller"] == "store"
    assert app.asked == []


@pytest.mark.parametrize(
    "forged",
    ["X-Forwarded-Client-Cert: DNS=front", "Forwarded: for=front", "Caller: front", "X-Caller: front"],
)
def test_no_field_makes_a_caller(cart, front, wire, log, forged):
    inside, app = cart()
    outside = front(inside, name="store")
    assert wire(outside.forward_port).ask("http://cart/", "GET", forged, host="cart").status == 403
    assert (log()[0]["caller"], app.asked) == ("store", [])


def test_upstreams_never_get_a_certificate_that_a_client_has_named(cart, front, wire):
    inside, app = cart()
    outside = front(inside)
    wire(outside.forward_port).ask("http://cart/", "GET", "X-Forwarded-Client-Cert: DNS=store", host="cart")
    assert app.asked[0]["X-Forwarded-Client-Cert"] is None


def test_without_a_certificate_there_is_no_caller_and_its_route_is_not_taken(origin, serve, certs, wire):
    app = origin()
    proxy = serve(
        identity=Identity(folder=str(certs), name="cart", demand=False),
        route=[Route(when={"caller": "*"}, to="app"), Route(respond=418)],
        service={"app": Service(upstreams=[app.address])},
    )
    assert wire(proxy).ask("/", "GET", "X-Forwarded-Client-Cert: DNS=front").status == 418
    assert app.asked == []


def test_a_front_door_demands_nothing_and_still_proves_its_name(cart, serve, certs, wire):
    inside, _ = cart()
    door = serve(
        identity=Identity(folder=str(certs), name="front", demand=False),
        route=[Route(to="cart")],
        service={"cart": Service(upstreams=[f"127.0.0.1:{inside.port}"], mutual=True)},
    )
    assert wire(door).ask("/").status == 200


def test_a_service_may_have_another_name_than_its_certificate(cart, serve, certs, wire):
    inside, _ = cart()
    service = Service(upstreams=[f"127.0.0.1:{inside.port}"], mutual="cart")
    proxy = serve(
        forward=SIDECAR, identity=Identity(folder=str(certs), name="front"), service={"cart_canary": service}
    )
    assert wire(proxy.forward_port).ask("http://cart_canary/", host="cart_canary").status == 200


def test_health_checks_prove_the_name_too(cart, front, until, log):
    inside, app = cart()
    outside = front(inside, health={"path": "/health", "every": "50ms", "rise": 1, "fall": 1})
    until(lambda: app.asked)
    assert log()[0]["caller"] == "front"
    assert outside.stats()["upstreams"]["cart"][0]["unhealthy"] == 0


def test_several_processes_demand_and_show_certificates(child, origin, wire, certs):
    app, identity = origin(), f"identity = {{{{ folder = '{certs}', name = '{{}}' }}}}\n"
    inside = child(
        f"workers = 2\nlisten = '{ANYWHERE}'\nroute = [{{ when = {{ caller = 'front' }}, to = 'app' }}]\n"
        f"service.app.upstreams = '{app.address}'\n" + identity.format("cart")
    )
    outside = child(
        f"workers = 2\nforward = {{ listen = '{ANYWHERE}', services = true }}\n"
        f"service.cart = {{ upstreams = '127.0.0.1:{inside.port}', mutual = true }}\n"
        + identity.format("front")
    )
    forward = int(outside.ready["forward"].rpartition(":")[2])
    for _ in range(4):
        assert wire(forward).ask("http://cart/", host="cart").status == 200


# --- what does not match ---------------------------------------------------------------------------


def refused(proxy: Proxy, wire) -> tuple[int, str]:
    answer = wire(proxy.forward_port).ask("http://cart/", host="cart")
    return answer.status, answer["Proxy-Status"] or ""


def test_a_server_with_another_name_is_a_502_that_says_so(cart, serve, certs, wire, log):
    inside, _ = cart()
    service = Service(upstreams=[f"127.0.0.1:{inside.port}"], mutual="catalogue")
    outside = serve(
        forward=SIDECAR, identity=Identity(folder=str(certs), name="front"), service={"cart": service}
    )
    status, why = refused(outside, wire)
    assert status == 502 and "tls_certificate_error" in why
    assert "hostname mismatch, certificate is not valid for 'catalogue'" in why
    assert log()[0]["end"] == "unauthenticated"


@pytest.mark.parametrize("side", ["server", "client"])
def test_an_expired_certificate_is_a_502_that_says_so(cart, front, authority, tmp_path, wire, log, side):
    old = write(authority, tmp_path / "old", "front", "cart", **EXPIRED)
    inside, _ = cart(old) if side == "server" else cart()
    outside = front(inside) if side == "server" else front(inside, old)
    status, why = refused(outside, wire)
    assert status == 502 and "expired" in why
    assert ("tls_certificate_error" if side == "server" else "tls_alert_received") in why
    [line] = log()
    assert line["status"] is None and "certificate" in line["detail"] and "expired" in line["detail"]


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_a_stranger_is_refused_on_both_sides(cart, tmp_path, origin, serve, certs, wire, log, tls):
    """In TLS 1.3, the refusal of a client's certificate comes after its handshake. RFC 8446, 4.4.4"""
    inside, app = cart()
    strangers = write(trustme.CA(), tmp_path / "strangers", "front")
    shutil.copy(certs / "ca.pem", strangers / "ca.pem")  # it trusts cart, and cart does not trust it
    context = ssl.create_default_context(cafile=str(strangers / "ca.pem"))
    context.load_cert_chain(strangers / "front.pem", strangers / "front.key")
    context.maximum_version = ssl.TLSVersion.TLSv1_2 if tls == "1.2" else ssl.TLSVersion.TLSv1_3
    client = wire(inside)
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        client.sock = context.wrap_socket(client.sock, server_hostname="cart", do_handshake_on_connect=False)
        client.sock.do_handshake()
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
        client.sock.recv(100)
    outside = serve(
        forward=SIDECAR, identity=Identity(folder=str(strangers), name="front"),
        service={"cart": Service(upstreams=[f"127.0.0.1:{inside.port}"], mutual=True)},
    )  # fmt: skip
    status, why = refused(outside, wire)
    assert (status, app.asked) == (502, [])
    assert "tls_alert_received" in why and "unknown ca" in why
    assert [line["detail"] for line in log(2)] == ["TLS: unable to get local issuer certificate"] * 2


def test_a_proxy_that_shows_no_certificate_is_told_that_one_is_wanted(cart, serve, certs, wire, log):
    inside, _ = cart()
    service = Service(
        upstreams=[f"127.0.0.1:{inside.port}"], tls={"ca": str(certs / "ca.pem"), "name": "cart"}
    )
    outside = serve(forward=SIDECAR, service={"cart": service})
    status, why = refused(outside, wire)
    assert status == 502 and "certificate required" in why
    assert log()[0]["detail"] == "TLS: peer did not return a certificate"


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_plain_http_gets_one_clear_answer(cart, wire, log, method):
    inside, app = cart()
    client = wire(inside)
    answer = client.ask("/", method)
    assert answer.status == 400 and b"speaks TLS, and demands a certificate" in answer.body
    assert client.ended()
    [line] = log()
    assert (line["status"], line["end"], app.asked) == (400, "client-bad", [])
    assert inside.stats()["answers"] == {"400": 1}


HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"


def test_behind_a_proxy_that_tells_addresses_the_certificate_still_tells_the_caller(cart, certs, wire, log):
    inside, _ = cart(proxy_protocol={"from": ["127.0.0.0/8"]})
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    context.load_cert_chain(certs / "front.pem", certs / "front.key")
    client = wire(inside).send(HEADER)
    client.reader.close()
    client.sock = context.wrap_socket(client.sock, server_hostname="cart")
    client.reader = client.sock.makefile("rb")
    assert client.ask("/").status == 200
    assert (log()[0]["client"], log()[0]["caller"]) == ("192.0.2.7", "front")
    plain = wire(inside).send(HEADER + b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n").answer()
    assert plain.status == 400


def test_a_handshake_that_comes_byte_by_byte_is_not_taken_for_plain_http(certs):
    """Inside a record, any byte may be a letter: only the first of a connection tells."""
    settings = parse_settings(
        {"identity": {"folder": str(certs), "name": "cart"}, "route": [{"respond": 204}]}
    )
    make = ConnectionFactory(settings, "test", lambda: None)
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    context.load_cert_chain(certs / "front.pem", certs / "front.key")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="cart")
    near, far = socket.socketpair()
    far.setblocking(False)
    client = make(far, "127.0.0.1", BlockedThreads())
    with near, client.sock:
        for _ in range(2):
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            for byte in outgoing.read():
                near.sendall(bytes([byte]))
                assert client.handshake() is ReadResult.PART
            if client.opening is not None:
                incoming.write(near.recv(2**16))
    assert (client.caller, client.failure) == ("front", None)


def test_the_listener_of_the_forward_side_demands_nothing(cart, wire, origin):
    other = origin()
    inside, _ = cart(forward=Forward(listen=ANYWHERE, private_targets=True))
    assert wire(inside.forward_port).ask(f"http://{other.address}/", host=other.address).status == 200
    assert inside.forward_url.startswith("http://") and inside.url.startswith("https://")


# --- real clients ----------------------------------------------------------------------------------


@pytest.mark.needs("curl")
def test_curl_with_a_certificate_is_the_caller(cart, certs, log):
    inside, app = cart()
    at = f"cart:{inside.port}"
    command = ["curl", "-sS", "--max-time", "10", "--resolve", f"{at}:127.0.0.1", f"https://{at}/x"]
    trust = ["--cacert", str(certs / "ca.pem")]
    shown = ["--cert", str(certs / "front.pem"), "--key", str(certs / "front.key")]
    assert subprocess.run([*command, *trust, *shown], capture_output=True, check=True).stdout == b"hello"
    without = subprocess.run([*command, *trust], capture_output=True, text=True, check=False)
    assert without.returncode != 0 and "certificate required" in without.stderr
    assert [line["caller"] for line in log(2)] == ["front", None]
    assert len(app.asked) == 1


@pytest.mark.needs("openssl")
def test_openssl_sees_the_name_and_that_a_certificate_is_asked_for(cart, certs):
    inside, _ = cart()
    command = [
        "openssl", "s_client", "-connect", f"127.0.0.1:{inside.port}", "-servername", "cart", "-quiet",
        "-verify_return_error", "-verify_hostname", "cart", "-CAfile", str(certs / "ca.pem"),
        "-cert", str(certs / "front.pem"), "-key", str(certs / "front.key"),
    ]  # fmt: skip
    request = b"GET / HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n"
    said = subprocess.run(command, input=request, capture_output=True, timeout=30, check=False)
    assert said.stdout.startswith(b"HTTP/1.1 200 OK")


# --- reload ----------------------------------------------------------------------------------------


def test_a_reload_reads_new_certificates(cart, front, authority, tmp_path, wire):
    folder = write(authority, tmp_path / "certs", "front", "cart")
    inside, _ = cart(folder)
    outside = front(inside, folder)
    client = wire(outside.forward_port)
    assert client.ask("http://cart/", host="cart").status == 200
    write(trustme.CA(), folder, "front", "cart")  # another authority
    inside.reload(inside.settings)
    assert wire(outside.forward_port).ask("http://cart/", host="cart").status == 200  # a kept connection
    outside.reload(outside.settings)
    assert client.ask("http://cart/", host="cart").status == 200
    write(trustme.CA(), folder, "cart")
    inside.reload(inside.settings)
    outside.reload(outside.settings.model_copy(update={"trace": False}))  # front.pem is another authority's
    assert client.ask("http://cart/", host="cart").status == 502


def test_a_reload_with_bad_files_keeps_the_former_ones(cart, front, authority, tmp_path, wire):
    folder = write(authority, tmp_path / "certs", "front", "cart")
    inside, _ = cart(folder)
    (folder / "cart.key").write_text("nothing")
    with pytest.raises(BadInput, match=r"identity\.folder: .*cart\.key' holds no private key in PEM form"):
        inside.reload(inside.settings)
    assert wire(front(inside, folder).forward_port).ask("http://cart/", host="cart").status == 200


# --- bad files and settings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("cart.pem", None, "cannot be read: no such file"),
        ("cart.key", None, "cannot be read: no such file"),
        ("ca.pem", None, "cannot be read: no such file"),
        ("ca.pem", "nothing", "holds no certificate in PEM form"),
        ("cart.key", "front.key", "is not the key of"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
    ],
)
@pytest.mark.parametrize("demand", [True, False])
def test_bad_files_are_one_line(authority, tmp_path, file, content, said, demand):
    folder = write(authority, tmp_path / "certs", "front", "cart")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text((folder / content).read_text() if content == "front.key" else content)
    identity = f"identity = {{ folder = '{folder}', name = 'cart', demand = {str(demand).lower()} }}\n"
    (tmp_path / "proxy.toml").write_text(
        f"{identity}listen = '{ANYWHERE}'\nroute = [{{ to = 'web' }}]\n"
        "service.web = { upstreams = '127.0.0.1:1', mutual = true }\n"
    )
    found, _ = check(tmp_path / "proxy.toml")
    with pytest.raises(BadInput) as refusal:
        Proxy.load(tmp_path / "proxy.toml").start()
    for problem in (refusal.value, *found):
        assert problem.key == "identity.folder" and said in problem.problem and "\n" not in str(problem)
    assert len(found) == 1


IDENTITY = {"folder": "certs", "name": "front"}
MUTUAL = {"upstreams": "a:1", "mutual": True}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"service": {"web": MUTUAL}}, "service.web.mutual: expected an identity"),
        (
            {"identity": IDENTITY, "service": {"web": {**MUTUAL, "tls": True}}},
            "mutual: expected no 'tls' beside it",
        ),
        ({"identity": IDENTITY, "tls": {"cert": "a", "key": "b"}}, "tls: expected identity.demand = false"),
        ({"identity": {"folder": "certs", "name": "../front"}}, "identity.name"),
        ({"identity": IDENTITY, "service": {"web": {**MUTUAL, "mutual": 1}}}, "expected true, false"),
        (
            {
                "identity": IDENTITY, "tcp": [{"listen": ANYWHERE, "to": "web"}],
                "service": {"web": {"upstreams": "a:1", "mutual": True}},
            },
            "has mutual, which only routes obey",
        ),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_one_line(changes, said):
    with pytest.raises(BadInput) as refusal:
        parse_settings({"route": [{"to": "web"}], "service": {"web": {"upstreams": "a:1"}}} | changes)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_explain_knows_the_caller():
    settings = parse_settings(
        {
            "identity": IDENTITY, "service": {"web": {"upstreams": "a:1"}},
            "route": [{"when": {"caller": "fr*"}, "to": "web"}, {"respond": 403}],
        }
    )  # fmt: skip
    assert explain(settings, "GET", "/", caller="front").route == 0
    assert explain(settings, "GET", "/", caller="store").route == 1
    lines = explain(settings, "GET", "/").lines()
    assert lines[0] == "route.0: no, caller fr* does not match"


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        ({}, ""),
        ({"subject": ((("commonName", "Front"),),)}, "front"),
        ({"subject": ((("commonName", "a"),),), "subjectAltName": (("DNS", "B"), ("DNS", "c"))}, "b"),
        ({"subjectAltName": (("URI", "spiffe://shop/Front"),)}, "spiffe://shop/Front"),
        ({"subjectAltName": (("URI", "spiffe://shop/a"), ("DNS", "b"))}, "b"),
        ({"subject": ((("commonName", "a"),),), "subjectAltName": (("IP Address", "::1"),)}, ""),
    ],
)
def test_the_name_is_in_the_alternative_names_first(certificate, name):
    assert name_in(certificate) == name
