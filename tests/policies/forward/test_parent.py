"""Reading the URL of a parent proxy."""

import pytest

from policies.forward.parent import parse_parent


@pytest.mark.parametrize(
    ("text", "name", "credentials"),
    [
        ("http://proxy.test:3128", "http://proxy.test:3128", ("", "")),
        ("http://proxy.test", "http://proxy.test:80", ("", "")),
        ("https://proxy.test/", "https://proxy.test:443", ("", "")),
        ("socks5://a%40b:p%3Aw@[::1]:1080", "socks5://[::1]:1080", ("a@b", "p:w")),
    ],
)
def test_urls(text, name, credentials):
    parent = parse_parent(text)
    assert (parent.name, (parent.user, parent.password)) == (name, credentials)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy.test:3128",
        "ftp://a",
        "http://",
        "http://a:0",
        "http://a:99999",
        "http://a/path",
        "socks5://u@h",
    ],
)
def test_what_is_no_parent_is_said_in_one_line(text):
    with pytest.raises(ValueError, match="expected a p") as problem:
        parse_parent(text)
    assert "\n" not in str(problem.value)


def test_a_password_is_neither_shown_nor_named():
    parent = parse_parent("http://alice:hush@proxy.test:1")
    assert "hush" not in repr(parent) + parent.name
