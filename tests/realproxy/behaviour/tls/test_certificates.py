"""Certificates by name: which one is shown, and what is said of files that do not fit."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from policies.bad_input import BadInput
from realproxy import Match, Proxy, Route, Service
from realproxy.control.check import check
from realproxy.net.certificates import names_in


def test_the_certificate_follows_the_name_that_is_asked_for(origin, serve, secure, certified):
    certificates = [certified("shop.test"), certified("*.books.test", "books.test"), certified("other.test")]
    proxy = serve(origin(), tls=certificates)
    for name in ("shop.test", "books.test", "www.books.test", "OTHER.test"):
        assert secure(proxy, name).ask(host=name).body == b"hello"
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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("shop.test", 200), ("SHOP.test:8443", 200), ("www.books.test", 421), ("a.shop.test", 200),
        ("a.b.shop.test", 421), ("127.0.0.1", 421),
    ],
)  # fmt: skip
def test_a_host_that_the_certificate_does_not_cover_is_misdirected(
    origin, serve, secure, certified, host, status
):
    certificates = [certified("shop.test", "*.shop.test"), certified("*.books.test")]
    proxy = serve(origin(), tls=certificates)
    client = secure(proxy, "shop.test")
    assert client.ask(host=host).status == status
    assert client.ask(host="shop.test").status == 200  # the connection goes on


def test_changed_files_are_picked_up_and_bad_ones_leave_the_old(origin, serve, secure, certified, tmp_path):
    old = certified("old.test", folder=tmp_path)
    proxy = serve(origin(), tls=old)
    kept = secure(proxy, "old.test")
    certified("new.test", folder=tmp_path)
    assert secure(proxy, "old.test").ask(host="old.test").status == 200
    proxy.reload(proxy.settings)
    assert secure(proxy, "new.test").ask(host="new.test").status == 200
    assert kept.ask(host="old.test").status == 200  # open connections stay
    Path(old.cert).write_text("nonsense", encoding="utf-8")
    with pytest.raises(BadInput, match=r"tls\.cert: '.*cert.pem' holds no certificate in PEM form"):
        proxy.reload(proxy.settings)
    assert secure(proxy, "new.test").ask(host="new.test").status == 200


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
        [problem] = check(file).mistakes
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
    [problem] = check(file).mistakes
    assert problem.key == "tls.1.key"
