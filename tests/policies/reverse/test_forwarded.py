"""The client's address behind proxies: only entries of trusted proxies count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reverse.forwarded import client_of, forwarded_element, told_host, told_proto

PEER = "10.0.0.1"


def header(**fields: str):
    return {name.replace("_", "-"): value for name, value in fields.items()}.get


@pytest.mark.parametrize(
    ("hops", "fields", "client"),
    [
        (0, {"x_forwarded_for": "198.51.100.7"}, PEER),  # no proxy is trusted
        (1, {}, PEER),
        (1, {"x_forwarded_for": "198.51.100.7"}, "198.51.100.7"),
        (1, {"x_forwarded_for": "6.6.6.6, 198.51.100.7"}, "198.51.100.7"),  # the first one is forged
        (2, {"x_forwarded_for": "6.6.6.6, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"),
        (3, {"x_forwarded_for": "198.51.100.7"}, "198.51.100.7"),  # fewer proxies than thought
        (1, {"x_forwarded_for": "unknown"}, PEER),
        (2, {"x_forwarded_for": "_hidden, 10.0.0.2"}, "10.0.0.2"),
        (1, {"x_forwarded_for": "198.51.100.7:4711"}, "198.51.100.7"),
        (1, {"x_forwarded_for": "2001:db8::1"}, "2001:db8::1"),
        (1, {"forwarded": "for=198.51.100.7;proto=https"}, "198.51.100.7"),
        (1, {"forwarded": 'for=6.6.6.6, For="[2001:DB8::1]:80"'}, "2001:db8::1"),
        (1, {"forwarded": 'host="a,for=6.6.6.6";for=198.51.100.7'}, "198.51.100.7"),  # quoted is no separator
        (1, {"forwarded": "proto=https"}, PEER),
        (1, {"forwarded": "for=_secret"}, PEER),
        (1, {"x_forwarded_for": "198.51.100.7", "forwarded": "for=198.51.100.7"}, "198.51.100.7"),
        (1, {"x_forwarded_for": "198.51.100.7", "forwarded": "for=6.6.6.6"}, PEER),  # one of them is forged
    ],
)
def test_the_chain_is_read_from_its_end(hops, fields, client):
    assert client_of(PEER, hops, header(**fields)) == client


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(st.lists(addresses, max_size=4), st.lists(addresses, min_size=1, max_size=3))
def test_what_a_client_makes_up_never_counts(forged, true):
    """Whatever the client has sent: the first of the trusted proxies has written his address behind it."""
    hops = len(true)
    custom = ", ".join([*forged, *true])
    assert client_of(PEER, hops, header(x_forwarded_for=custom)) == true[0]
    standard = ", ".join(forwarded_element(address, "", "http") for address in [*forged, *true])
    assert client_of(PEER, hops, header(forwarded=standard)) == true[0]


@given(st.text(max_size=60))
def test_nonsense_is_no_address(text):
    import ipaddress

    ipaddress.ip_address(client_of(PEER, 1, header(forwarded=text)))
    ipaddress.ip_address(client_of(PEER, 2, header(x_forwarded_for=text)))


def test_scheme_and_host_are_believed_from_who_is_trusted():
    told = header(x_forwarded_proto="HTTPS", x_forwarded_host="shop.test:8443")
    assert (told_proto(0, told), told_host(0, told)) == (None, None)
    assert (told_proto(1, told), told_host(1, told)) == ("https", "shop.test:8443")
    odd = header(x_forwarded_proto="gopher", x_forwarded_host="a b")
    assert (told_proto(1, odd), told_host(1, odd)) == (None, None)


@pytest.mark.parametrize(
    ("host", "written"),
    [("shop.test", "shop.test"), ("a:80", '"a:80"'), ("[::1]", '"[::1]"'), ('a"b', '"a\\"b"')],
)
def test_what_is_no_token_is_quoted(host, written):
    """RFC 7239, 4: a colon is no token's character."""
    assert forwarded_element("192.0.2.1", host, "http") == f"for=192.0.2.1;host={written};proto=http"
