"""What a block list blocks, and the rule that it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.forward.blocking import Blocklist, check_rule, read_hosts

HOSTS = """# a list
127.0.0.1 localhost
0.0.0.0 one.test two.test # both

bare.test
10.0.0.5 nas.test
"""

RULES = Blocklist(
    [
        "*.doubleclick.net",
        "~^track[0-9]*\\.",
        "10.0.0.0/8",
        "2001:db8::/32",
        "spy.test",
        "*.bücher.test",
        "ad?.test",
        "192.0.2.7",
    ],
    {"hosts.txt": HOSTS},
)


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("ad.doubleclick.net", "forward.block: *.doubleclick.net"),
        ("a.b.DoubleClick.NET", "forward.block: *.doubleclick.net"),
        ("doubleclick.net", None),
        ("notdoubleclick.net", None),
        ("track12.shop.test", "forward.block: ~^track[0-9]*\\."),
        ("mytrack.shop.test", None),
        ("spy.test", "forward.block: spy.test"),
        ("spy.test.", "forward.block: spy.test"),
        ("www.spy.test", None),
        ("www.xn--bcher-kva.test", "forward.block: *.bücher.test"),
        ("ad1.test", "forward.block: ad?.test"),
        ("one.test", "forward.block_files: hosts.txt line 3"),
        ("two.test", "forward.block_files: hosts.txt line 3"),
        ("bare.test", "forward.block_files: hosts.txt line 5"),
        ("nas.test", None),
        ("localhost", None),
        ("10.1.2.3", None),
        ("", None),
    ],
)
def test_names(host, rule):
    assert RULES.rule_for_name(host) == rule


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("10.255.0.1", "forward.block: 10.0.0.0/8"),
        ("11.0.0.1", None),
        ("::ffff:10.0.0.1", "forward.block: 10.0.0.0/8"),
        ("64:ff9b::a00:1", "forward.block: 10.0.0.0/8"),
        ("2002:a00:1::", "forward.block: 10.0.0.0/8"),
        ("2001:db8::1%eth0", "forward.block: 2001:db8::/32"),
        ("192.0.2.7", "forward.block: 192.0.2.7"),
        ("192.0.2.8", None),
    ],
)
def test_addresses_however_they_are_written(address, rule):
    assert RULES.rule_for_address(address) == rule


@pytest.mark.parametrize("network", ["0.0.0.0", "127.0.0.0/8"])
@pytest.mark.parametrize("address", ["0.0.0.0", "::ffff:0.0.0.0", "64:ff9b::"])
def test_who_dials_no_address_reaches_loopback(network, address):
    assert Blocklist([network]).rule_for_address(address) == f"forward.block: {network}"
    assert Blocklist(["::1", "127.0.0.2"]).rule_for_address(address) is None


def test_who_dials_no_address_of_ipv6_reaches_its_loopback():
    assert Blocklist(["::1"]).rule_for_address("::") == "forward.block: ::1"
    assert Blocklist(["127.0.0.0/8"]).rule_for_address("::") is None


@pytest.mark.parametrize(
    ("network", "address"),
    [("64:ff9b::/96", "64:ff9b::8.8.8.8"), ("2002::/16", "2002:808:808::"), ("::/0", "::ffff:8.8.8.8")],
)
def test_a_network_that_wraps_ipv4_can_be_blocked_as_such(network, address):
    assert Blocklist([network]).rule_for_address(address) == f"forward.block: {network}"


@pytest.mark.parametrize(
    ("rule", "problem"),
    [("", "expected a name"), ("~[", "not a valid regular"), ("10.0.0.0/40", "neither a network nor")],
)
def test_bad_rules_are_said(rule, problem):
    with pytest.raises(ValueError, match=problem):
        check_rule(rule)


def test_a_bad_line_of_a_hosts_file_is_named():
    with pytest.raises(ValueError, match=r"line 2: expected an address and names, not 'ads test'"):
        list(read_hosts("0.0.0.0 a.test\nads test\n"))


label = st.text("abcdefghij0123456789-", min_size=1, max_size=8)
name = st.lists(label, min_size=2, max_size=4).map(".".join)


@given(st.sets(name, max_size=20), name)
def test_a_hosts_file_blocks_its_names_and_no_other(names, other):
    blocked = Blocklist([], {"h": "".join(f"0.0.0.0 {host}\n" for host in sorted(names))})
    assert all(blocked.rule_for_name(host) for host in names)
    assert (blocked.rule_for_name(other) is not None) == (other in names)


@given(name, name)
def test_a_suffix_is_found_as_the_glob_would(suffix, host):
    from fnmatch import fnmatchcase

    assert (Blocklist([f"*.{suffix}"]).rule_for_name(host) is not None) == fnmatchcase(host, f"*.{suffix}")
