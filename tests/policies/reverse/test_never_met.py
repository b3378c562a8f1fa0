"""Conditions that no request can meet are found, and no condition that one can meet is called so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reverse.never_met import problems, unreached
from policies.reverse.routing import RequestAttributes, Routes, normal_path
from policies.settings import Match, Route

NEVER = {  # conditions, the key that is told, and what is said
    "port": ({"host": "a.test:8080"}, "host", "write 'a.test'"),
    "port of a glob": ({"host": "*.a.test:*"}, "host", "write '*.a.test'"),
    "port of an IPv4 address": ({"host": "127.0.0.1:80"}, "host", "write '127.0.0.1'"),
    "port of an IPv6 address": ({"host": "[::1]:80"}, "host", "write '::1'"),
    "port in a regular expression": ({"host": r"~^a\.test:80$"}, "host", "without its port"),
    "scheme": ({"host": "http://a.test"}, "host", "write 'a.test'"),
    "scheme and path": ({"host": "https://a.test:1/b"}, "host", "write 'a.test'"),
    "scheme in a regular expression": ({"host": "~^http://a"}, "host", "no scheme"),
    "path in a host": ({"host": "a.test/b"}, "host", "write 'a.test'"),
    "hosts with a space": ({"host": "a.test b.test"}, "host", r"write '~^(a\\.test|b\\.test)$'"),
    "hosts with a comma": ({"host": "a.test, *.b"}, "host", r"write '~^(a\\.test|.*\\.b)$'"),
    "hosts with a bar": ({"host": "a|b"}, "host", "write '~^(a|b)$'"),
    "quotes": ({"host": '"a.test"'}, "host", """no host contains '"'"""),
    "user": ({"host": "me@a.test"}, "host", "no host contains '@'"),
    "domain in nginx's way": ({"host": ".a.test"}, "host", "write '*.a.test'"),
    "empty label": ({"host": "a..test"}, "host", "empty label"),
    "no slash": ({"path": "api/*"}, "path", "write '/api/*'"),
    "paths with a comma": ({"path": "/a,/b"}, "path", "this is one path"),
    "paths with a bar": ({"path": "/a|/b"}, "path", "this is one path"),
    "paths with a space": ({"path": "/a /b"}, "path", "this is one path"),
    "empty path": ({"path": ""}, "path", "write '/'"),
    "URL": ({"path": "http://a.test/api/*"}, "path", "write '/api/*'"),
    "no slash in a regular expression": ({"path": "~^api/"}, "path", "write '~^/"),
    "query": ({"path": "/search?q=*"}, "path", "write '/search'"),
    "fragment": ({"path": "/a#b"}, "path", "write '/a'"),
    "encoded": ({"path": "/caf%C3%A9"}, "path", "write '/café'"),
    "encoded dot": ({"path": "/%2egit/*"}, "path", "write '/.git/*'"),
    "dot segment": ({"path": "/a/../b"}, "path", "are resolved"),
    "dot at the end": ({"path": "/a/."}, "path", "are resolved"),
    "small letters": ({"method": "get"}, "method", "write 'GET'"),
    "some small letters": ({"method": "GET|post"}, "method", "write 'GET|POST'"),
    "comma": ({"method": "GET,post"}, "method", "write 'GET|POST'"),
    "comma and space": ({"method": "GET, POST"}, "method", "write 'GET|POST'"),
    "space between methods": ({"method": "GET POST"}, "method", "write 'GET|POST'"),
    "empty method": ({"method": ""}, "method", "'' is no method"),
    "bar at the end": ({"method": "GET|"}, "method", "'' is no method"),
    "every method": ({"method": "*"}, "method", "leave the condition out"),
    "CONNECT": ({"method": "CONNECT"}, "method", "only [forward]"),
    "space in a name": ({"header": {"X Y": "1"}}, "header.X Y", "no name"),
    "colon in a name": ({"header": {"X:": "1"}}, "header.X:", "no name"),
    "empty name": ({"header": {"": "1"}}, "header.", "no name"),
    "non-ASCII name": ({"header": {"é": "1"}}, "header.é", "no name"),
    "space around a value": ({"header": {"X": " 1"}}, "header.X", "white space around"),
    "line end in a value": ({"header": {"X": "1\n2"}}, "header.X", "control character"),
    "two values": ({"header": {"X": "1", "x": "2"}}, "header.x", "both values"),
    "no TLS": ({"sni": "a.test"}, "sni", "there is no 'tls'"),
    "no TLS, and a glob": ({"sni": "*.a.test"}, "sni", "there is no 'tls'"),
    "host bits": ({"client": "10.0.0.1/8"}, "client", "means '10.0.0.0/8'"),
    "host bits of IPv6": ({"client": "2001:db8::1/32"}, "client", "means '2001:db8::/32'"),
    "mapped": ({"client": "::ffff:10.0.0.0/104"}, "client", "write '10.0.0.0'"),
}
NEVER_OVER_TLS = {
    "port": ({"sni": "a.test:443"}, "sni", "write 'a.test'"),
    "address": ({"sni": "127.0.0.1"}, "sni", "by its address"),
}
MET = [
    {"host": "a.test"}, {"host": "A.TEST."}, {"host": "*.a.test"}, {"host": "bücher.test"}, {"host": "::1"},
    {"host": "[::1]"}, {"host": "2001:db8:*"}, {"host": "~^a"}, {"host": "~a(:80)?$"}, {"host": "my_shop"},
    {"host": ""}, {"host": "*"}, {"host": "[ab].test"}, {"host": "~^(?!a)"}, {"host": r"~^2001:db8:"},
    {"path": "/a"}, {"path": "*"}, {"path": "*.php"}, {"path": "/café"}, {"path": "/a b"}, {"path": "/a?"},
    {"path": "~^/api"}, {"path": "~api"}, {"path": "~^a?/"}, {"path": "~^a|^/b"}, {"path": "/100%"},
    {"path": "/.git/*"}, {"path": "/a..b"}, {"path": "~^[^a]"},
    {"method": "GET"}, {"method": "GET | POST"}, {"method": "brew"}, {"method": "PROPFIND"},
    {"header": {"X": "*"}}, {"header": {"X": ""}}, {"header": {"X": "1", "Y": "2"}},
    {"header": {"X": "1*", "x": "*2"}}, {"sni": "*"}, {"client": "10.0.0.0/8"}, {"client": "::1"},
    {"client": "10.0.0.1"}, {"client": "2001:db8::/32"},
]  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_a_condition_that_no_request_meets_is_told_with_what_to_write(name: str) -> None:
    when, key, said = NEVER[name]
    [(told, problem)] = problems(Match(**when), tls=False)
    assert told == key and said in problem


@pytest.mark.parametrize("name", NEVER_OVER_TLS)
def test_a_server_name_that_no_client_sends_is_told(name: str) -> None:
    when, key, said = NEVER_OVER_TLS[name]
    [(told, problem)] = problems(Match(**when), tls=True)
    assert told == key and said in problem


@pytest.mark.parametrize("when", MET, ids=str)
def test_a_condition_that_a_request_meets_is_not_told(when: dict) -> None:
    assert list(problems(Match(**when), tls=False)) == []


PIECES = [
    "a",
    "b.test",
    "test",
    ".",
    "*",
    "?",
    "[ab]",
    ":",
    "80",
    "/",
    "//",
    "::1",
    "-",
    "xn--",
    "~",
    "^",
    "$",
]
HOSTS = st.sampled_from(
    ["", "a", "a.test", "b.test", "a.b.test", "::1", "127.0.0.1", "my_shop", "80", "2001:80::"]
)
PATHS = st.lists(st.sampled_from(["a", "b", "/", ".", "?", "=", "é", "%C3%A9", "%2e", "%20"]), max_size=6)


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), HOSTS)
def test_no_host_matches_a_pattern_of_which_that_is_said(pattern: str, host: str) -> None:
    when = readable({"host": pattern})
    if when is not None and list(problems(when, tls=False)):
        assert not taken_by(when, host=host)


@given(
    st.lists(st.sampled_from([*PIECES, "%2e", "=", "é", ".."]), max_size=6).map("".join),
    PATHS.map(lambda parts: normal_path("/" + "".join(parts).replace("é", "%C3%A9"))),
)
def test_no_path_matches_a_pattern_of_which_that_is_said(pattern: str, path: str) -> None:
    when = readable({"path": pattern})
    # "?" stands for one character, so "/a?=b" matches "/ax=b": told, for a query is meant.
    if when is not None and "?" not in pattern and list(problems(when, tls=False)):
        assert not taken_by(when, path=path)


def readable(when: dict[str, str]) -> Match | None:
    try:
        return Match(**when)
    except ValueError:
        return None


def taken_by(when: Match, **request: str) -> bool:
    found = {"host": "a.test", "path": "/", "method": "GET", "client": "192.0.2.1", "sni": "", **request}
    return (
        Routes([Route(when=when, respond=200)]).match(RequestAttributes(header=lambda _: None, **found)) == 0
    )


CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "host": st.sampled_from(["*", "a.test", "A.test", "*.test", "b.a.test", "a*", "~a", "*.a.test"]),
        "path": st.sampled_from(["*", "/*", "/a", "/a/*", "/a*", "/a/b", "*.php", "/a/?", "~^/a", "/[ab]*"]),
        "prefix": st.sampled_from(["/", "/a", "/a/", "/a/b", "/ab"]),
        "query": st.sampled_from([{"q": "1"}, {"q": "*"}, {"Q": "1"}, {"q": "1", "r": "?"}]),
        "method": st.sampled_from(["GET", "POST", "GET|POST"]),
        "client": st.sampled_from(["192.0.2.0/24", "192.0.0.0/8", "192.0.2.1", "::1"]),
        "header": st.sampled_from([{"X": "1"}, {"x": "*"}, {"X": "1", "Y": "*"}]),
    },
).map(lambda when: Route(when=Match(**when), respond=200))
REQUESTS = st.builds(
    lambda host, path, method, client, header, query: RequestAttributes(
        host, path, method, client, header.get, "", path + query
    ),
    st.sampled_from(["a.test", "b.a.test", "test", "x.test", "ab"]),
    st.sampled_from(["/", "/a", "/a/", "/a/b", "/a/x.php", "/b", "/ab"]),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(["192.0.2.1", "192.0.2.9", "192.9.9.9", "::1"]),
    st.sampled_from([{}, {"x": "1"}, {"x": "2"}, {"x": "1", "y": "3"}]),
    st.sampled_from(["", "?q=1", "?q=2", "?Q=1", "?q=1&r=2", "?q"]),
)


@given(st.lists(CONDITIONS, min_size=2, max_size=4), st.lists(REQUESTS, min_size=20, max_size=60))
def test_a_route_of_which_that_is_said_is_never_reached(routes: list[Route], requests: list) -> None:
    unused = {later for later, _ in unreached(routes)}
    rules = Routes(routes)
    assert unused.isdisjoint({rules.match(request) for request in requests})


@pytest.mark.parametrize(
    ("one", "other", "hidden"),
    [
        ({}, {"path": "/a"}, True),
        ({"path": "*"}, {"path": "/a", "host": "a.test"}, True),
        ({"path": "/*"}, {}, True),
        ({"path": "/api/*"}, {"path": "/api/v1/*"}, True),
        ({"path": "/api/*"}, {"path": "/api/v1/*", "method": "GET"}, True),
        ({"path": "/api/v1/*"}, {"path": "/api/*"}, False),
        ({"path": "/api/*", "method": "GET"}, {"path": "/api/v1/*"}, False),
        ({"host": "*.a.test"}, {"host": "B.A.test"}, True),
        ({"host": "*.a.test"}, {"host": "a.test"}, False),
        ({"method": "GET|POST"}, {"method": "POST", "path": "/a"}, True),
        ({"client": "10.0.0.0/8"}, {"client": "10.1.0.0/16"}, True),
        ({"client": "10.1.0.0/16"}, {"client": "10.0.0.0/8"}, False),
        ({"header": {"X": "1"}}, {"header": {"x": "1"}}, True),
        ({"header": {"X": "1"}}, {"header": {"X": "2"}}, False),
        ({"path": "~^/a"}, {"path": "~^/a", "method": "GET"}, True),
        ({"path": "~^/a"}, {"path": "/a"}, False),
        ({"prefix": "/a"}, {}, False),
        ({"prefix": "/"}, {}, True),
        ({"prefix": "/a"}, {"prefix": "/a/b"}, True),
        ({"prefix": "/a/b"}, {"prefix": "/a"}, False),
        ({"prefix": "/a"}, {"prefix": "/ab"}, False),
        ({"prefix": "/a"}, {"path": "/a/*"}, True),
        ({"prefix": "/a"}, {"path": "/a*"}, False),
        ({"prefix": "/a"}, {"path": "/a/b"}, True),
        ({"path": "/a*"}, {"prefix": "/a"}, True),
        ({"path": "/a/*"}, {"prefix": "/a"}, False),
        ({"query": {"q": "1"}}, {}, False),
        ({"query": {"q": "*"}}, {"query": {"q": "1", "r": "2"}}, True),
        ({"query": {"q": "1"}}, {"query": {"Q": "1"}}, False),
    ],
)
def test_a_route_behind_one_that_takes_all_of_its_requests_is_found(
    one: dict, other: dict, hidden: bool
) -> None:
    routes = [Route(when=Match(**one), respond=200), Route(when=Match(**other), respond=404)]
    assert list(unreached(routes)) == ([(1, 0)] if hidden else [])
