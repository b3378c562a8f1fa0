"""The address of ``--host``: every part of it is obeyed, or refused in one line."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.users.host import Host, parse_host
from policies.bad_input import BadInput


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("http://shop.test/", Host("shop.test", 80), "shop.test:80"),
        ("http://127.0.0.1:8080", Host("127.0.0.1", 8080), "127.0.0.1:8080"),
        ("http://127.0.0.1:8080/base", Host("127.0.0.1", 8080, "/base"), "127.0.0.1:8080"),
        ("http://127.0.0.1:8080/base/", Host("127.0.0.1", 8080, "/base"), "127.0.0.1:8080"),
        ("HTTP://Shop.Test:8080/A/b//", Host("shop.test", 8080, "/A/b"), "shop.test:8080"),
        ("http://[::1]:8080/base", Host("::1", 8080, "/base"), "[::1]:8080"),
        ("http://[::1]", Host("::1", 80), "[::1]:80"),
        ("http://a/with blank/ü%20;x=1", Host("a", 80, "/with%20blank/%C3%BC%20;x=1"), "a:80"),
        ("  http://a:81  ", Host("a", 81), "a:81"),
    ],
)
def test_name_port_and_path_are_obeyed(url: str, host: Host, authority: str) -> None:
    assert parse_host(url) == host
    assert parse_host(url).authority == authority


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", ""),
        ("localhost:80", ""),
        ("127.0.0.1:8080/base", ""),
        ("//a", ""),
        ("ftp://a", ""),
        ("http://", ""),
        ("http:///base", ""),
        ("http://a:0", ""),
        ("http://a:99999", ""),
        ("http://a:b", ""),
        ("http://[::1", ""),
        ("http://a b/", ""),
        ("http://bücher.test", ""),
        ("https://a", "TLS is not supported"),
        ("https://a:8443/base", "TLS is not supported"),
        ("http://a/base?x=1", "a query or a fragment cannot begin the paths"),
        ("http://a/base?", "a query or a fragment cannot begin the paths"),
        ("http://a#top", "a query or a fragment cannot begin the paths"),
        ("http://ann:secret@a", "a user and a password are not supported"),
        ("http://ann@a/base", "a user and a password are not supported"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_one_line(url: str, why: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_host(url)
    line = str(caught.value)
    assert line.startswith("--host: expected an address such as http://127.0.0.1:8080, not ")
    assert line.endswith(f": {why}" if why else "'")
    assert "secret" not in line


@given(st.text(st.characters(exclude_characters="?#\\", exclude_categories=["Cc", "Cs", "Z"])))
def test_any_other_path_comes_back_in_ascii(path: str) -> None:
    prefix = parse_host(f"http://a/x{path}").prefix
    assert prefix.isascii() and not prefix.endswith("/")
    assert unquote(prefix) == unquote(urlsplit(f"http://a/x{path}").path).rstrip("/")
