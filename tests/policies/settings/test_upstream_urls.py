"""Upstreams as URLs: a scheme is understood, and what a URL cannot mean here is refused in one line."""

import pytest

from policies.bad_input import BadInput
from policies.settings import Service, Upstream, parse_settings


def service(*upstreams: object, **keys: object) -> Service:
    data = {"route": [{"to": "web"}], "service": {"web": {"upstreams": list(upstreams), **keys}}}
    return parse_settings(data, "proxy.toml").service["web"]


@pytest.mark.parametrize(
    ("written", "address", "secure"),
    [
        ("http://127.0.0.1:9001", "127.0.0.1:9001", False),
        ("http://a.test", "a.test:80", False),
        ("http://a.test/", "a.test:80", False),
        ("HTTP://a.test:81/", "a.test:81", False),
        ("http://a.test:", "a.test:80", False),
        ("http://[::1]", "[::1]:80", False),
        ("http://[::1]:81", "[::1]:81", False),
        ("https://a.test", "a.test:443", True),
        ("https://[2001:db8::1]/", "[2001:db8::1]:443", True),
        ("https://a.test:8443", "a.test:8443", True),
        ("a.test:80", "a.test:80", False),
        ("web", "web", False),
    ],
)
def test_a_scheme_says_the_port_and_whether_there_is_tls(written: str, address: str, secure: bool) -> None:
    for item in (written, {"address": written, "weight": 2.0}):
        found = service(item)
        assert [upstream.address for upstream in found.upstreams] == [address]
        assert (found.tls is not None) is secure
    assert service({"address": written, "weight": 2.0}).upstreams[0].weight == 2.0


def test_a_plain_address_may_stand_beside_one_with_http() -> None:
    found = service("http://a.test", "b.test:81")
    assert [upstream.address for upstream in found.upstreams] == ["a.test:80", "b.test:81"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("http://a.test/api", "expected no path behind the host"),
        ("http://a.test/?a=b", "expected no path behind the host"),
        ("https://a.test?a=b", "expected no path behind the host"),
        ("https://a.test#b", "expected no path behind the host"),
        ("http://me:secret@a.test", "expected no user and no password"),
        ("ftp://a.test", "expected 'host:port', 'http://host' or 'https://host', not 'ftp://a.test'"),
        ("h2c://a.test:80", "expected 'host:port', 'http://host' or"),
        ("unix://run/web", "expected 'host:port', 'http://host' or"),
    ],
)
def test_what_a_url_cannot_mean_here_is_refused(written: str, said: str) -> None:
    for item in (written, {"address": written}):
        with pytest.raises(BadInput) as refusal:
            service(item)
        assert refusal.value.key == "service.web.upstreams.0.address"
        assert said in refusal.value.problem and "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("upstreams", "keys", "said"),
    [
        (["http://a.test", "https://b.test"], {}, "before every upstream, or before none"),
        (["https://a.test", "b.test:80"], {}, "before every upstream, or before none"),
        (["https://a.test"], {"tls": False}, "before every upstream, or before none"),
        (["http://a.test"], {"tls": True}, "tls: expected 'https://'"),
        (["http://a.test"], {"tls": {"name": "a"}}, "tls: expected 'https://'"),
    ],
)
def test_schemes_that_contradict_each_other_or_tls_are_refused(
    upstreams: list[str], keys: dict[str, object], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        service(*upstreams, **keys)


def test_upstreams_that_are_built_in_python_are_read_alike() -> None:
    built = Service(upstreams=[Upstream.model_construct(address="http://a.test", weight=1.0)])
    assert built.upstreams[0].address == "a.test:80"
