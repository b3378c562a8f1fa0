"""The table of header rules: what an origin learns at each level."""

from pathlib import Path

import pytest

from policies.forward.anonymity import (
    LEVELS,
    TABLE,
    Rule,
    changes,
    forwarded_element,
    header_rules,
    is_same_host,
)

TELLS_THE_ADDRESS = [
    "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP",
    "X-Cluster-Client-IP", "CF-Connecting-IP",
]  # fmt: skip


@pytest.mark.parametrize("name", TELLS_THE_ADDRESS)
def test_only_a_transparent_proxy_lets_the_address_through(name):
    transparent, anonymous, elite = TABLE[name]
    assert transparent in (Rule.KEEP, Rule.APPEND)
    assert anonymous is elite is Rule.DROP


def test_only_an_elite_proxy_is_not_seen():
    assert [header_rules(level).via for level in LEVELS] == [True, True, False]
    assert [header_rules(level).address for level in LEVELS] == [True, False, False]


def test_each_level_hides_what_the_one_before_hides():
    transparent, anonymous, elite = (header_rules(level).drops for level in LEVELS)
    assert transparent < anonymous < elite


def test_the_changes_of_a_request_are_said_in_words():
    present = {"from", "x-real-ip", "via", "referer"}
    assert changes("transparent", present) == ["Via added to", "X-Forwarded-For added", "Forwarded added"]
    assert changes("anonymous", present) == ["Via added to", "X-Real-IP removed", "From removed"]
    assert changes("elite", present) == [
        "Via removed", "X-Real-IP removed", "From removed", "Referer kept for the same host",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("referer", "same"),
    [
        ("http://shop.test/a", True),
        ("http://SHOP.test:80/", True),
        ("http://shop.test:8080/", False),
        ("https://shop.test/", False),
        ("http://other.test/", False),
        ("http://shop.test:bad/", False),
        ("", False),
    ],
)
def test_a_referer_of_the_same_host(referer, same):
    assert is_same_host(referer, "shop.test", 80) is same


def test_a_mapped_address_is_told_as_the_one_it_is():
    assert forwarded_element("::ffff:192.0.2.1") == "for=192.0.2.1;proto=http;by=_proxytwin"


def test_the_documentation_shows_this_very_table():
    text = (Path(__file__).parents[3] / "docs" / "forward.md").read_text(encoding="utf-8")
    for name, row in TABLE.items():
        assert f"| `{name}` | {' | '.join(row)} |" in text
