"""Which addresses lead into somebody's own network, however they are written and whichever Python runs."""

import ipaddress

import pytest

from policies.addresses import is_private, plain_address

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 192.0.0.8 192.0.0.170
192.0.2.1 192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::127.0.0.1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b:1::1 100::1 2001::1
2001:db8::1 2002:7f00:1:: 2002:c0a8:1::1 3fff::1 5f00::1 fc00::1 fd00::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 100.63.255.255 172.32.0.1 192.0.1.1 223.255.255.255
::8.8.8.8 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808:: 2001:200::1 2001:4860:4860::8888 2606:4700::1111
"""


@pytest.mark.parametrize("text", PRIVATE.split())
def test_it_is_private(text):
    assert is_private(text)


@pytest.mark.parametrize("text", PUBLIC.split())
def test_it_is_public(text):
    assert not is_private(text)


@pytest.mark.parametrize("wrapped", ["::{}", "::ffff:{}", "64:ff9b::{}", "{}"])
def test_an_ipv4_address_is_unwrapped(wrapped):
    assert plain_address(wrapped.format("10.1.2.3")) == ipaddress.ip_address("10.1.2.3")


@pytest.mark.parametrize("text", ["::", "::1"])
def test_two_addresses_of_ipv6_wrap_none(text):
    assert plain_address(text) == ipaddress.ip_address(text)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f.0.0.1", "10.0.0.1/8", "1::2::3"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="does not appear to be"):
        plain_address(text)
