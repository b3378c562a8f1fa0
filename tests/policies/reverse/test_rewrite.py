"""Rewrites and redirects change what they name, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reverse.redirect import location
from policies.reverse.rewrite import has_prefix, new_target
from policies.reverse.routing import normal_path
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
    assert new_target(Rewrite(strip=strip, prefix=prefix), path, path) == expected


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
        ({"strip": "/a b", "prefix": "/c"}, "/a%20b/x%2Fy", "/c/x%2Fy"),
        ({"strip": "/caf%C3%A9"}, "/caf%c3%a9/x", "/x"),
        ({"strip": "/api"}, "/%61pi/x%2Fy", "/x%2Fy"),
        ({"strip": "/api"}, "/api%2Fx", "/x"),
        ({"strip": "/api"}, "/api//evil.test/x", "/evil.test/x"),
        ({"strip": "/api", "prefix": "/v2"}, "/api//x", "/v2//x"),
        ({"strip": "/api", "prefix": "/v2"}, "/api/../api/x", "/v2/x"),
        ({"strip": "/api", "prefix": "/v2"}, "/api/%2e%2e/api/x?q=/../", "/v2/x?q=/../"),
        ({"prefix": "/v2"}, "/../../x", "/v2/x"),
        ({"prefix": "/v2"}, "*", "*"),
    ],
)
def test_the_target_of_an_upstream(rewrite: dict[str, str], target: str, expected: str) -> None:
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


SEGMENTS = st.sampled_from(
    ["..", ".", "%2e%2e", "%2E.", "api", "%61pi", "a", "", "x%2F..", "..%2fx", "%C3%A9"]
)


@given(st.lists(SEGMENTS, max_size=6))
def test_an_upstream_sees_no_path_outside_the_new_prefix(segments: list[str]) -> None:
    """However a client writes the path: what the upstream resolves is what was matched, below the prefix."""
    target = "/" + "/".join(["api", *segments])
    path = normal_path(target)
    sent = new_target(Rewrite(strip="/api", prefix="/v2"), target, path)
    if has_prefix(path, "/api"):
        assert has_prefix(normal_path(sent), "/v2")
        assert normal_path(sent).removeprefix("/v2") in (path.removeprefix("/api"), "/")
    else:
        assert sent == target
    assert not sent.startswith("//")
