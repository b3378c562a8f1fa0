"""Rewrites and redirects change what they name, and nothing else."""

from __future__ import annotations

import pytest

from policies.reverse.redirect import location
from policies.reverse.rewrite import has_prefix, new_target, replace_prefix
from policies.settings.ingress import Redirect, Rewrite

# The table of Gateway API's HTTPPathModifier.
REPLACED = [
    ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
    ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
    ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
    ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
    ("/foo", "/foo", "/xyz", "/xyz"),
    ("/foo/", "/foo", "/xyz", "/xyz/"),
    ("/foo/bar", "/foo", "", "/bar"),
    ("/foo/", "/foo", "", "/"),
    ("/foo", "/foo", "", "/"),
    ("/foo/", "/foo", "/", "/"),
    ("/foo", "/foo", "/", "/"),
    ("/foobar", "/foo", "/xyz", "/foobar"),
    ("/a", "/", "/xyz", "/xyz/a"),
    ("/", "/", "/xyz", "/xyz/"),
]


@pytest.mark.parametrize(("path", "strip", "prefix", "expected"), REPLACED)
def test_a_prefix_is_replaced_by_whole_elements(path: str, strip: str, prefix: str, expected: str) -> None:
    assert replace_prefix(path, strip, prefix) == expected


@pytest.mark.parametrize(
    ("path", "prefix", "taken"),
    [
        ("/v2", "/v2", True),
        ("/v2/", "/v2", True),
        ("/v2/x", "/v2", True),
        ("/v2example", "/v2", False),
        ("/v2", "/v2/", True),
        ("/V2", "/v2", False),
        ("/", "/", True),
        ("/anything", "/", True),
    ],
)
def test_a_prefix_matches_by_element(path: str, prefix: str, taken: bool) -> None:
    assert has_prefix(path, prefix) is taken


@pytest.mark.parametrize(
    ("rewrite", "target", "expected"),
    [
        ({"strip": "/api"}, "/api/x?a=/api", "/x?a=/api"),
        ({"strip": "/api"}, "/%61pi/x%20y?q", "/x%20y?q"),
        ({"prefix": "/v2"}, "/x", "/v2/x"),
        ({"strip": "/api", "prefix": "/v2"}, "/api", "/v2"),
        ({"path": "/one"}, "/a/b?c", "/one?c"),
        ({"host": "other.test"}, "/a//b/../c", "/a//b/../c"),
    ],
)
def test_the_target_of_an_upstream(rewrite: dict[str, str], target: str, expected: str) -> None:
    from policies.reverse.routing import normal_path

    assert new_target(Rewrite(**rewrite), target, normal_path(target)) == expected


@pytest.mark.parametrize(
    ("redirect", "asked", "expected"),
    [
        ({"host": "new.test"}, ("http", "old.test", 80), "http://new.test/a?b"),
        ({"host": "new.test"}, ("http", "old.test", 8080), "http://new.test:8080/a?b"),
        ({"scheme": "https"}, ("http", "old.test", 8080), "https://old.test/a?b"),
        ({"scheme": "https", "port": 8443}, ("http", "old.test", 80), "https://old.test:8443/a?b"),
        ({"port": 8443}, ("https", "old.test", 443), "https://old.test:8443/a?b"),
        ({"port": 443, "scheme": "https"}, ("http", "old.test", 80), "https://old.test/a?b"),
        ({"path": "/x"}, ("https", "old.test", 443), "https://old.test/x?b"),
        ({"strip": "/a", "prefix": "/c"}, ("http", "[::1]", 80), "http://[::1]/c?b"),
    ],
)
def test_where_a_redirect_leads(redirect: dict, asked: tuple[str, str, int], expected: str) -> None:
    scheme, host, port = asked
    assert location(Redirect(**redirect), scheme, host, port, 8080, "/a?b", "/a") == expected
