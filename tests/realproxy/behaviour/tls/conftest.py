"""Certificates of an authority of our own, and clients that trust it."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from realproxy import Certificate, Proxy

SECONDS = 30.0


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
