"""Addresses of upstreams: one host and its port, or one line that says what was expected."""

import pytest

from realproxy import BadInput, Proxy, Route, Service
from realproxy.net.address import split_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9001", ("127.0.0.1", 9001)),
        ("[::1]:9001", ("::1", 9001)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("my_web.internal:80", ("my_web.internal", 80)),
        ("bücher.test:80", ("bücher.test", 80)),
    ],
)
def test_a_host_and_its_port(text, address):
    assert split_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "*:80", ":80", "web", "80", "a:0", "a:65536", "a:http", "a:+80", "a:", "::1:80", "[::1]", "[::1:80",
        "a]:80", "unix:/run/web", "/run/web:80", "a/b:80", "a b:80", "me@a:80", "a?b:80", "a#b:80", "[z]:80",
        "a:80:81", "",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"expected 'host:port' such as '127\.0\.0\.1:9001'"):
        split_address(text)
    with pytest.raises(BadInput, match=r"service\.web\.upstreams\.0\.address: expected 'host:port'"):
        Proxy(route=[Route(to="web")], service={"web": Service(upstreams=[text])})


def test_an_upstream_written_as_a_url_is_asked(origin, serve, wire):
    server = origin()
    proxy = serve(route=[Route(to="web")], service={"web": Service(upstreams=[f"http://{server.address}/"])})
    assert wire(proxy).ask().body == b"hello"
