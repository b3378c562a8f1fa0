"""Host names in rules are compared in the form in which requests write them."""

import pytest

from policies.host_names import ascii_pattern, normal_host
from policies.reverse.routing import RequestAttributes, Routes
from policies.settings import Match, Route


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("a.test", "a.test"),
        ("a.test.", "a.test"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("*.BÜCHER.test", "*.xn--bcher-kva.test"),
        ("日本.test", "xn--wgv71a.test"),
        ("[::1]", "::1"),
        ("[ab].test", "[ab].test"),
        ("~^a", "~^a"),
        (".", "."),
    ],
)
def test_a_pattern_is_put_in_the_form_of_requests(pattern: str, written: str) -> None:
    assert ascii_pattern(pattern) == written


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("b*ü.test", "begins with 'xn--'"),
        ("straße.test", "begins with 'xn--'"),
        ("~bücher", "only ASCII in a regular expression"),
        ("ü" * 70, "cannot be a part of a host name"),
    ],
)
@pytest.mark.parametrize("key", ["host", "sni"])
def test_what_cannot_be_put_in_that_form_is_refused(key: str, pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Match(**{key: pattern})


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("bücher.test", "xn--bcher-kva.test"),
        ("*.bücher.test", "www.xn--bcher-kva.test"),
        ("SHOP.test.", "shop.test"),
        ("[::1]", "::1"),
    ],
)
def test_a_route_takes_the_host_that_is_meant(pattern: str, host: str) -> None:
    routes = Routes([Route(when=Match(host=pattern), respond=200)])
    assert routes.match(RequestAttributes(host, "/", "GET", "192.0.2.1", lambda _: None)) == 0


def test_a_rule_for_blocking_takes_the_same_forms() -> None:
    assert normal_host("BÜCHER.test.") == "xn--bcher-kva.test" and normal_host("[::1]") == "::1"
    assert normal_host("ü" * 70) == "ü" * 70
