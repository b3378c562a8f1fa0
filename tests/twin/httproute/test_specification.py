"""What Gateway API's definition of HTTPRoute demands, rule by rule."""

from __future__ import annotations

import re
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies.bad_input import BadInput
from policies.settings import ProxySettings, parse_settings
from policies.settings.without_effect import warnings
from twin.httproute import compile_routes, to_toml

BACKENDS = {"v1": ["127.0.0.1:1"], "v2": ["127.0.0.1:2"], "shop/v3": ["127.0.0.1:3", "[::1]:4"]}


def httproute(*rules: dict, name: str = "route", metadata: dict | None = None, **spec: Any) -> dict:
    top = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    return {**top, "metadata": {"name": name, **(metadata or {})}, "spec": {**spec, "rules": list(rules)}}


def to(name: str = "v1", **more: Any) -> dict:
    return {"backendRefs": [{"name": name, "port": 8080, **more}]}


def matching(name: str = "v1", **match: Any) -> dict:
    return {"matches": [match], **to(name)}


def path(value: str, kind: str = "PathPrefix") -> dict:
    return {"type": kind, "value": value}


def filters(*several: tuple[str, dict]) -> dict:
    named = {"URLRewrite": "urlRewrite", "CORS": "cors"}
    return {
        "filters": [
            {"type": kind, named.get(kind, kind[0].lower() + kind[1:]): body} for kind, body in several
        ]
    }


@pytest.fixture
def compiled(tmp_path: Path):
    def compile_them(*documents: dict, warned: int = 0) -> ProxySettings:
        file = tmp_path / "routes.yaml"
        file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        settings = compile_routes([file], BACKENDS, "127.0.0.1:8080").settings
        read = parse_settings(tomllib.loads(to_toml(settings)))
        assert read == parse_settings(settings)
        assert len(warnings(read, "")) == warned
        return read

    return compile_them


def refusal(tmp_path: Path, *documents: dict) -> str:
    file = tmp_path / "routes.yaml"
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    with pytest.raises(BadInput) as wrong:
        compile_routes([file], BACKENDS, "127.0.0.1:8080")
    text = str(wrong.value)
    assert text.startswith(f"{file}: ")
    assert "\n" not in text
    return text.removeprefix(f"{file}: ")


# --- matches --------------------------------------------------------------------------------------


def test_precedence_is_exact_then_longest_prefix_then_method_headers_and_queries(door) -> None:
    header, query = {"name": "a", "value": "1"}, {"name": "q", "value": "1"}
    found = door(
        httproute(
            matching("v1", path=path("/"), headers=[header], queryParams=[query]),
            matching("v2", path=path("/"), method="GET"),
            matching("v3", path=path("/a b".replace(" ", "%20"))),
            matching("v1", path=path("/a%20b/c")),
            matching("v2", path=path("/%61")),
            matching("v3", path=path("/a/b")),
        )
    )
    assert found.by("/?q=1", a="1") == "v2"  # a method goes before fields
    assert found.by("/?q=1", "POST", a="1") == "v1"
    assert found.by("/a%20b") == "v3"
    assert found.by("/a%20b/c") == "v1"
    assert found.by("/a/x") == "v2"
    assert found.by("/a/b") == "v3"  # longer than /%61, however that is written


def test_a_rule_of_a_wilder_host_takes_what_none_of_the_host_itself_does(door) -> None:
    found = door(
        httproute(matching("v1", path=path("/a")), hostnames=["x.shop.test"]),
        httproute(matching("v2", path=path("/a/b")), hostnames=["*.shop.test"], name="wild"),
        httproute(to("v3"), hostnames=["*.test"], name="wilder"),
    )
    hosts = {"x.shop.test": "v1", "y.shop.test": "v2", "shop.test": "v3"}
    assert {host: found.by("/a/b", host=host) for host in hosts} == hosts
    assert found.by("/a/b", host="test") == 404
    assert found.by("/", host="x.shop.test") == "v3"


@pytest.mark.parametrize(
    ("target", "by"),
    [
        ("/abc", "v1"), ("/abc/", "v2"), ("/Abc", "v2"), ("/abcd", "v2"), ("/%61bc", "v1"), ("/abc%0A", "v2"),
        ("/re", "v3"), ("/RE/x9", "v3"), ("/re/x9/", "v2"), ("/re%0a", "v2"), ("//abc", "v2"),
        ("/x/../abc", "v1"),
    ],
)  # fmt: skip
def test_paths_are_matched_to_their_last_character(door, target: str, by: str) -> None:
    found = door(
        httproute(
            matching("v1", path=path("/abc", "Exact")),
            matching("v3", path=path("(?i)/re(/x[0-9])?", "RegularExpression")),
            to("v2"),
        )
    )
    assert found.by(target) == by


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ("a%20b=1+2", True), ("a+b=1%202", True), ("a%20b=1%2B2", False), ("x=1&a+b=1+2", True),
        ("a+b=1+2&a+b=3", True), ("a+b=3&a+b=1+2", False), ("A+b=1+2", False), ("a+b", False), ("", False),
        ("a+b=1+2%0A", False), ("a+b=%31+2", True),
    ],
)  # fmt: skip
def test_queries_are_decoded_and_their_first_value_counts(door, query: str, taken: bool) -> None:
    found = door(httproute(matching("v1", queryParams=[{"name": "a b", "value": "1 2"}])))
    assert found.by(f"/?{query}") == ("v1" if taken else 404)


def test_of_several_conditions_on_one_name_the_first_counts(compiled) -> None:
    headers = [{"name": name, "value": value} for name, value in (("A", "1"), ("a", "2"), ("b", "x*"))]
    queries = [{"name": name, "value": value} for name, value in (("a", "1"), ("a", "2"), ("A", "3"))]
    when = compiled(httproute(matching(headers=headers, queryParams=queries))).route[0].when
    assert when.header == {"A": "1", "b": r"~\Ax\*\Z"}
    assert when.query == {"a": "1", "A": "3"}


def test_no_host_and_http_1_0_take_routes_for_all_hosts(door) -> None:
    found = door(
        httproute(to("v2"), hostnames=["*.test"], name="wild"),
        httproute(
            matching("v1", path=path("/a")),
            {"matches": [{"path": path("/go")}], **filters(("RequestRedirect", {"port": 8}))},
        ),
    )
    for target, first in (("/a", b"HTTP/1.1 200"), ("/go", b"HTTP/1.1 400")):
        with socket.create_connection(("127.0.0.1", found.proxy.port), timeout=20) as client:
            client.sendall(b"GET %b HTTP/1.0\r\n\r\n" % target.encode())
            assert client.makefile("rb").read().startswith(first)


def test_the_older_route_wins_whatever_form_its_time_has(tmp_path: Path) -> None:
    times = ["2024-01-01T12:00:00Z", "2024-01-01T12:30:00+02:00", "2024-01-01 11:00:00", None]
    documents = [
        httproute(to("v1" if number % 2 else "v2"), name=f"r{number}", metadata={"creationTimestamp": time})
        for number, time in enumerate(times)
    ]
    file = tmp_path / "r.yaml"
    text = yaml.safe_dump_all(documents)
    file.write_text(re.sub(r"'(2024\S+:00(Z|\+02:00))'", r"\1", text))  # YAML reads these as times
    found = compile_routes([file], {"v1": ["a:1"], "v2": ["a:2"]}, "127.0.0.1:0").settings["route"]
    assert [route["to"] for route in found] == ["v1", "v2", "v2", "v1"]


def test_names_are_compared_with_their_namespaces(compiled) -> None:
    found = compiled(
        httproute(matching("v1", path=path("/a"), method="GET"), name="x", metadata={"namespace": "a"}),
        httproute(matching("v2", path=path("/a"), method="PUT"), name="x", metadata={"namespace": "a-b"}),
    )
    assert [route.to for route in found.route] == ["v2", "v1"]  # "a-b/x" < "a/x"


# --- backends -------------------------------------------------------------------------------------


def test_backends_are_found_by_name_or_namespace_and_may_be_there_twice(compiled) -> None:
    refs = [{"name": "v1", "weight": 2}, {"name": "v1"}, {"name": "v3", "namespace": "shop"}, {"name": "v3"}]
    found = compiled(httproute({"backendRefs": [*refs, {"name": "v2", "weight": 0}]}))
    assert found.route[0].to == {"v1": 3.0, "v3": 1.0, "500": 1.0}
    assert [upstream.address for upstream in found.service["v3"].upstreams] == ["127.0.0.1:3", "[::1]:4"]
    assert set(found.service) == {"v1", "v3"}  # nothing that no route leads to


def test_the_changes_of_a_rule_and_of_its_backend_may_name_one_field(door) -> None:
    def modifier(value: str) -> dict:
        return filters(("RequestHeaderModifier", {"set": [{"name": "X-A", "value": value}]}))

    rule = {**modifier("rule"), "backendRefs": [{"name": "v1", **modifier("backend")}]}
    rewrite = filters(("URLRewrite", {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}}))
    other = {"matches": [{"path": path("/r")}], "backendRefs": [{"name": "v2", **rewrite}]}
    found = door(httproute(rule, other))
    assert found.asked("/")["fields"]["x-a"] == "rule"
    assert found.asked("/r/s")["path"] == "/new"


# --- filters --------------------------------------------------------------------------------------


def test_header_changes_take_the_first_of_equal_names_and_reach_what_the_proxy_adds(door) -> None:
    pairs = [("X-A", "1"), ("x-a", "2"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=unknown")]
    changes = {
        "set": [{"name": name, "value": value} for name, value in pairs],
        "add": [{"name": "Cookie", "value": "b=2"}, {"name": "X-B", "value": "b"}],
        "remove": ["X-Forwarded-For", "x-forwarded-for"],
    }
    found = door(httproute({**filters(("RequestHeaderModifier", changes)), **to("v1")}))
    fields = found.asked("/", Cookie="a=1", Forwarded="for=1.2.3.4", X_Forwarded_For="1.2.3.4")["fields"]
    assert (fields["x-a"], fields["x-b"], fields["cookie"]) == ("1", "b", "a=1; b=2")
    assert (fields["x-forwarded-proto"], fields["forwarded"]) == ("https", "for=unknown")
    assert "x-forwarded-for" not in fields
    assert fields["x-forwarded-host"] == "any.test"


@pytest.mark.parametrize(
    ("redirect", "host", "location"),
    [
        ({"statusCode": 301}, "a.test", "http://a.test:8080/x?q"),
        ({"statusCode": 303}, "a.test:9", "http://a.test:8080/x?q"),
        ({"scheme": "http"}, "a.test:9", "http://a.test/x?q"),
        ({"scheme": "https", "hostname": "b.test"}, "a.test", "https://b.test/x?q"),
        ({"port": 443}, "a.test", "http://a.test:443/x?q"),
        ({"path": {"type": "ReplaceFullPath", "replaceFullPath": ""}}, "a.test", "http://a.test:8080/?q"),
    ],
)
def test_the_port_of_a_redirect(compiled, redirect: dict, host: str, location: str) -> None:
    """Without scheme and port it is the listener's, and with a scheme that of the scheme."""
    from policies.reverse.redirect import location as where

    name, _, port = host.partition(":")
    rule = {"matches": [{"path": path("/x")}], **filters(("RequestRedirect", redirect))}
    made = compiled(httproute(rule), warned=redirect.keys() == {"statusCode"})  # it leads back
    found = made.route[0].redirect
    assert where(found, "http", name, int(port or 0), 8080, "/x?q", "/x") == location
    assert found.status == redirect.get("statusCode", 302)


def test_cors_with_credentials_never_answers_a_star(door) -> None:
    stars = {key: ["*"] for key in ("allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders")}
    cors = {**stars, "allowCredentials": True}
    found = door(httproute({**filters(("CORS", cors)), **to("v1")}))
    origin = "https://a.test"
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-a",
    }
    answer, _ = found.ask("/", "OPTIONS", **asks)
    got = {name[15:].lower(): value for name, value in answer.headers.items() if name.startswith("Access")}
    assert got == {
        "allow-origin": origin, "allow-methods": "PUT", "allow-headers": "x-a", "allow-credentials": "true",
        "max-age": "5",
    }  # fmt: skip
    answer, _ = found.ask("/", Origin=origin)
    assert answer.headers["Access-Control-Expose-Headers"] is None
    answer, _ = found.ask("/missing", "OPTIONS", Origin=origin)
    assert answer.headers["X-By"] == "v1"  # no preflight


def test_mirrors_by_percent_and_fraction(compiled) -> None:
    def copy(**share: Any) -> tuple[str, dict]:
        return "RequestMirror", {"backendRef": {"name": "v2", "port": 1}, **share}

    several = [
        copy(percent=0), copy(percent=50), copy(fraction={"numerator": 0}),
        copy(fraction={"numerator": 1, "denominator": 1000}), copy(percent=100),
    ]  # fmt: skip
    found = compiled(httproute({**filters(*several), **to("v1")})).route[0].mirror
    assert [(mirror.to, mirror.share) for mirror in found] == [("v2", 0.5), ("v2", 0.001), ("v2", 1.0)]


@pytest.mark.parametrize(
    ("timeouts", "timeout", "attempt"),
    [
        ({"request": "1s"}, 1.0, None),
        ({"request": "0s"}, None, 86400.0),
        ({"backendRequest": "0s"}, None, 86400.0),
        ({"request": "0s", "backendRequest": "1s"}, None, 1.0),
        ({"request": "10m"}, 600.0, 600.0),
        ({"request": "1h1m1s1ms", "backendRequest": "500ms"}, 3661.001, 0.5),
        ({"request": "99999h"}, 99999 * 3600.0, 99999 * 3600.0),
    ],
)
def test_time_limits(compiled, timeouts: dict, timeout: float | None, attempt: float | None) -> None:
    route = compiled(httproute({"timeouts": timeouts, **to("v1")})).route[0]
    assert (route.timeout, route.try_timeout) == (timeout, attempt)


# --- what is refused ------------------------------------------------------------------------------

MODIFIER = "RequestHeaderModifier"
REWRITE = ("URLRewrite", {"hostname": "b.test"})
REDIRECT = ("RequestRedirect", {"hostname": "b.test"})
MIRROR = ("RequestMirror", {"backendRef": {"name": "v2"}})
REFUSED = [
    (matching(path=path("/a/./b")), "matches.0.path.value: expected a path"),
    (matching(path=path("/a/..")), "matches.0.path.value: expected a path"),
    (matching(path=path("/a%2Fb", "Exact")), "matches.0.path.value: expected a path"),
    (matching(path=path("/a b")), "matches.0.path.value: expected a path"),
    (matching(path=path("/a?b")), "matches.0.path.value: expected a path"),
    (matching(path=path("a)|(b", "RegularExpression")), "matches.0.path.value: '~a)|(b' is not a valid"),
    (matching(headers=[{"name": "a b", "value": "1"}]), "matches.0.headers.0.name: expected a name"),
    (matching(headers=[{"name": "a", "value": "é"}]), "matches.0.headers.0.value: expected printable"),
    (matching(method="get"), "matches.0.method: expected one of GET"),
    ({**filters(REWRITE, REDIRECT)}, "filters: a redirect and a rewrite"),
    ({**filters(REWRITE, REWRITE), **to()}, "filters.1: URLRewrite is there twice"),
    ({**filters(REDIRECT), **to()}, ": a redirect and backendRefs"),
    ({**filters(REDIRECT, MIRROR)}, "filters.1.requestMirror: a mirror of requests that are redirected"),
    (
        {**filters(REWRITE, (MODIFIER, {"set": [{"name": "host", "value": "c.test"}]})), **to()},
        "filters.1: two filters change the same rewrite",
    ),
    (
        {**filters((MODIFIER, {"set": [{"name": "A", "value": "1"}], "remove": ["a"]})), **to()},
        "filters.0.requestHeaderModifier: the field 'a' is changed twice",
    ),
    (
        {**filters((MODIFIER, {"set": [{"name": "A B", "value": "1"}]})), **to()},
        "filters.0.requestHeaderModifier.set.0.name: expected a name",
    ),
    (
        {**filters((MODIFIER, {"set": [{"name": "A", "value": " 1"}]})), **to()},
        "filters.0.requestHeaderModifier: set.A: expected printable ASCII",
    ),
    (
        {**filters((MODIFIER, {"remove": ["Content-Length"]})), **to()},
        "filters.0.requestHeaderModifier: remove.0: the proxy itself writes",
    ),
    (
        {**filters(("RequestRedirect", {"statusCode": 304}))},
        "filters.0.requestRedirect: status: input should",
    ),
    (
        {**filters(("CORS", {"allowOrigins": ["a.test"]})), **to()},
        "filters.0.cors: origins.0: expected an origin",
    ),
    (
        {"filters": [{"type": "CORS", "cors": {}, "urlRewrite": {}}], **to()},
        "filters.0: expected 'cors' for this type, and no other",
    ),
    (
        {**filters(("RequestMirror", {"backendRef": "v2"})), **to()},
        "filters.0.requestMirror.backendRef: expected a table",
    ),
    (
        {**filters(("RequestMirror", {**MIRROR[1], "percent": 1, "fraction": {"numerator": 1}})), **to()},
        "filters.0.requestMirror: expected 'percent' or 'fraction'",
    ),
    ({"timeouts": {"request": "1s", "backendRequest": "2s"}, **to()}, "timeouts.backendRequest: expected no"),
    ({"backendRefs": [{"port": 1}]}, "backendRefs.0: expected 'name'"),
    (
        {"backendRefs": [{"name": "v1", **filters(REWRITE)}, {"name": "v2"}]},
        "backendRefs.0.filters: a rewrite for one backend of several",
    ),
    (
        {**filters(REWRITE), "backendRefs": [{"name": "v1", **filters(REWRITE)}]},
        ": rewrite: the rule and its backend",
    ),
]


@pytest.mark.parametrize(("rule", "said"), REFUSED)
def test_what_a_rule_cannot_have(tmp_path: Path, rule: dict, said: str) -> None:
    separator = "" if said.startswith(":") else "."
    assert refusal(tmp_path, httproute(rule)).startswith(f"route.spec.rules.0{separator}{said}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"hostnames": ["10.0.0.1"]}, "route.spec.hostnames.0: expected a host name"),
        ({"hostnames": ["*"]}, "route.spec.hostnames.0: expected a host name"),
        ({"hostnames": ["a.*.test"]}, "route.spec.hostnames.0: expected a host name"),
        ({"hostnames": "a.test"}, "route.spec.hostnames: expected a list"),
        ({"rules": []}, "route.spec.rules: expected at least one rule"),
        ({"rules": ["x"]}, "route.spec.rules.0: expected a table"),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            "route.metadata.creationTimestamp: expected a time",
        ),
        ({"metadata": {"namespace": 7}}, "route.metadata.namespace: expected a text"),
    ],
)
def test_what_a_route_cannot_have(tmp_path: Path, spec: dict, said: str) -> None:
    route = httproute(to(), metadata=spec.pop("metadata", None))
    route["spec"].update(spec)
    assert refusal(tmp_path, route).startswith(said)


YAML = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec: {}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (YAML + "spec: {}\n", "is not valid YAML: the key 'spec' is there twice, in line 4"),
        (YAML + 'status: !!int ""', "is not valid YAML: a value does not fit its tag"),
        (YAML + "status: !!bool maybe", "is not valid YAML: a value does not fit its tag"),
        (YAML + "status: !!timestamp never", "is not valid YAML: a value does not fit its tag"),
        (YAML + "status: !!python/object:os.system {}", "is not valid YAML: could not determine"),
        ("[" * 1200, "is not valid YAML"),
        (YAML.replace("{}", '{ hostnames: ["\\uD800"] }'), "document 0.spec.hostnames.0: expected a text"),
        ("kind: List\nitems: 7", "document 0.items: expected a list"),
        ("kind: HTTPRouteList\nitems: [{}]", "document 0: expected a Kubernetes object"),
        ("&a [*a, *a]", "document 0: expected a Kubernetes object"),
    ],
)
def test_yaml_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as wrong:
        compile_routes([file], BACKENDS, "127.0.0.1:8080")
    assert str(wrong.value).startswith(f"{file}: {said}")
    assert "\n" not in str(wrong.value)


def test_a_rule_without_backends_answers_500_with_its_response_changes(door) -> None:
    changes = {"set": [{"name": "X-A", "value": "1"}]}
    found = door(httproute({**filters(("ResponseHeaderModifier", changes))}))
    answer, _ = found.ask("/")
    assert (answer.status, answer.headers["X-A"]) == (500, "1")
    assert found.proxy.stats()["upstreams"] == {}
