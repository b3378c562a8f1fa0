"""Routes: first match wins, whatever a path is disguised as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reverse.routing import RequestAttributes, Routes, normal_path
from policies.settings import Match, Route


def ask(path="/", host="shop.test", method="GET", client="127.0.0.1", **headers: str) -> RequestAttributes:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return RequestAttributes(host, path, method, client, fields.get)


def takes(match: Match, asked: RequestAttributes) -> bool:
    return Routes([Route(when=match, respond=204)]).match(asked) == 0


@pytest.mark.parametrize(
    ("match", "asked", "taken"),
    [
        (Match(), ask(), True),
        (Match(host="shop.test"), ask(host="SHOP.test"), True),
        (Match(host="shop.test"), ask(host="a.shop.test"), False),
        (Match(host="*.shop.test"), ask(host="a.b.Shop.test"), True),
        (Match(host="*.shop.test"), ask(host="shop.test"), False),
        (Match(host="~^shop"), ask(host="Shop.test"), True),
        (Match(path="/api/*"), ask("/api/a/b"), True),
        (Match(path="/api/*"), ask("/api"), False),
        (Match(path="/Api"), ask("/api"), False),
        (Match(path="~\\.php$"), ask("/a.php"), True),
        (Match(method="GET"), ask(method="HEAD"), False),
        (Match(method="GET | HEAD"), ask(method="HEAD"), True),
        (Match(method="GET"), ask(method="get"), False),
        (Match(header={"X-Beta": "1"}), ask(x_beta="1"), True),
        (Match(header={"X-Beta": "1"}), ask(x_beta="2"), False),
        (Match(header={"X-Beta": "*"}), ask(), False),
        (Match(header={"X-A": "*", "X-B": "*"}), ask(x_a="1"), False),
        (Match(client="203.0.113.0/24"), ask(client="203.0.113.9"), True),
        (Match(client="203.0.113.0/24"), ask(client="203.0.114.9"), False),
        (Match(client="203.0.113.0/24"), ask(client="::ffff:203.0.113.9"), True),
        (Match(client="203.0.113.0/24"), ask(client="2001:db8::1"), False),
        (Match(client="2001:db8::/32"), ask(client="2001:db8::1"), True),
        (Match(client="fe80::/10"), ask(client="fe80::1%eth0"), True),
    ],
)
def test_each_condition_takes_what_it_says(match, asked, taken):
    assert takes(match, asked) is taken


def test_all_conditions_must_hold_and_the_first_route_wins():
    routes = Routes(
        [
            Route(when=Match(host="shop.test", path="/a/*"), respond=201),
            Route(when=Match(host="shop.test"), respond=202),
            Route(when=Match(path="/a/*"), respond=203),
        ]
    )
    assert [routes.match(ask(path, host)) for path, host in [("/a/b", "shop.test"), ("/", "shop.test")]] == [
        0,
        1,
    ]
    assert routes.match(ask("/a/b", "x")) == 2
    assert routes.match(ask("/", "x")) is None


def test_the_explanation_is_of_the_match():
    routes = Routes(
        [Route(when=Match(host="x", path="/a"), respond=201), Route(respond=202), Route(respond=203)]
    )
    first, second = routes.explain(ask("/b", "x"))
    assert (first.taken, first.reason) == (False, "path /a does not match")
    assert (second.number, second.taken, second.reason) == (1, True, "takes everything")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"), ("/a?b=/../c", "/a"), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/../../a", "/a"), ("/%2e%2e/a", "/a"), ("/.%67it/config", "/.git/config"), ("/a%2Fb", "/a/b"),
        ("/a%2f..%2fb", "/b"), ("/caf%C3%A9", "/café"), ("/%ff", "/\ufffd"), ("/a/b/", "/a/b/"), ("*", "*"),
        ("/.hidden", "/.hidden"), ("/...", "/..."), ("/a/../", "/"), ("/%zz", "/%zz"),
    ],
)  # fmt: skip
def test_a_path_is_read_as_an_origin_reads_it(target, path):
    assert normal_path(target) == path


@given(st.lists(st.sampled_from(["a", ".", "..", "%2e", "%2E%2e", "", "b%2f.."]), max_size=8))
def test_no_path_keeps_a_dot_segment(parts):
    path = normal_path("/" + "/".join(parts))
    assert path.startswith("/")
    assert not {".", ".."} & set(path.split("/"))
