"""HTTPRoutes compiled to our file: what the real proxy then does with requests, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies.bad_input import BadInput
from policies.settings import parse_settings
from twin.httproute import compile_routes


def httproute(rules: list[dict], name: str = "route", **spec: Any) -> dict:
    top = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    return {**top, "metadata": {"name": name, **spec.pop("metadata", {})}, "spec": {**spec, "rules": rules}}


def to(name: str, **more: Any) -> dict:
    return {"backendRefs": [{"name": name, "port": 8080, **more}]}


def test_paths_are_matched_by_the_most_specific_rule(door) -> None:
    found = door(
        httproute(
            [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], **to("v1")},
                {"matches": [{"path": {"type": "PathPrefix", "value": "/v2/"}}], **to("v2")},
                {"matches": [{"path": {"type": "Exact", "value": "/v2/one"}}], **to("v3")},
                {"matches": [{"path": {"value": "/v2/one/deeper"}}], **to("v1")},
            ]
        )
    )
    expected = {
        "/": "v1", "/v2": "v2", "/v2/": "v2", "/v2example": "v1", "/v2/one": "v3", "/v2/one/": "v2",
        "/v2/one/deeper/x": "v1", "/V2": "v1", "/v2/one?query=1": "v3",
    }  # fmt: skip
    assert {target: found.by(target) for target in expected} == expected


def test_headers_queries_and_methods(door) -> None:
    header = {"name": "Version", "value": "two"}
    query = {"name": "animal", "value": "whale"}
    found = door(
        httproute(
            [
                {"matches": [{"headers": [header]}], **to("v2")},
                {"matches": [{"headers": [header, {"name": "COLOR", "value": "blue*"}]}], **to("v3")},
                {"matches": [{"queryParams": [query, {"name": "animal", "value": "ignored"}]}], **to("v1")},
                {"matches": [{"method": "POST"}, {"method": "DELETE", "path": {"value": "/x"}}], **to("v2")},
            ]
        )
    )
    assert found.by("/", version="two") == "v2"
    assert found.by("/", version="two", color="blue*") == "v3"
    assert found.by("/", version="two", color="blueish") == "v2"
    assert found.by("/?animal=whale") == "v1"
    assert found.by("/?animal=Whale") == 404
    assert found.by("/", "POST") == "v2"
    assert found.by("/x/y", "DELETE") == "v2"
    assert found.by("/", "DELETE") == 404
    assert found.by("/", "POST", version="two") == "v2"


def test_hosts_go_from_exact_to_wildcard_to_all(door) -> None:
    found = door(
        httproute([to("v1")], name="all"),
        httproute([to("v2")], name="wild", hostnames=["*.shop.test"]),
        httproute([to("v3")], name="exact", hostnames=["a.shop.test", "*.b.shop.test"]),
    )
    expected = {
        "a.shop.test": "v3", "A.shop.test": "v3", "a.shop.test:8080": "v3", "x.shop.test": "v2",
        "x.y.shop.test": "v2", "x.b.shop.test": "v3", "shop.test": "v1", "other.test": "v1",
    }  # fmt: skip
    assert {host: found.by("/", host=host) for host in expected} == expected


def test_between_equal_matches_the_older_route_wins_and_then_the_name(door) -> None:
    old, new = ({"creationTimestamp": f"202{year}-01-01T00:00:00Z"} for year in (1, 2))
    found = door(
        httproute([{"matches": [{"path": {"value": "/a"}}], **to("v1")}], name="a", metadata=new),
        httproute([{"matches": [{"path": {"value": "/a"}}], **to("v2")}], name="b", metadata=old),
        httproute([{"matches": [{"path": {"value": "/n"}}], **to("v1")}], name="z"),
        httproute([{"matches": [{"path": {"value": "/n"}}], **to("v3")}], name="y"),
    )
    assert (found.by("/a"), found.by("/n")) == ("v2", "v3")


def test_no_rule_is_404_and_a_backend_that_is_not_there_500(door) -> None:
    found = door(
        httproute(
            [
                {"matches": [{"path": {"value": "/missing"}}], **to("nobody")},
                {"matches": [{"path": {"value": "/none"}}]},
                {"matches": [{"path": {"value": "/kind"}}], **to("v1", kind="Other", group="x.test")},
                {"matches": [{"path": {"value": "/zero"}}], **to("v1", weight=0)},
                {
                    "matches": [{"path": {"value": "/half"}}],
                    "backendRefs": [{"name": "v1"}, {"name": "nobody"}],
                },
            ]
        )
    )
    assert [found.by(path) for path in ("/missing", "/none", "/kind", "/zero", "/else")] == [500] * 4 + [404]
    halves = [found.by("/half") for _ in range(200)]
    assert set(halves) == {"v1", 500}
    assert 60 < halves.count(500) < 140  # at one half, outside once in 10 million runs


def test_weights(door) -> None:
    refs = [{"name": "v1", "weight": 70}, {"name": "v2", "weight": 30}, {"name": "v3", "weight": 0}]
    found = door(httproute([{"backendRefs": refs}]))
    answers = [found.by("/") for _ in range(300)]
    assert set(answers) == {"v1", "v2"}
    assert 55 < answers.count("v2") < 127  # 90 on average; outside once in 200,000 runs


def header_filter(kind: str = "Request", **changes: Any) -> dict:
    return {"type": f"{kind}HeaderModifier", f"{kind.lower()}HeaderModifier": changes}


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]


def test_request_fields_are_set_added_and_removed_and_host_stays(door) -> None:
    changes = header_filter(set=pairs(X_Set="new"), add=pairs(X_Add="b"), remove=["X-Remove"])
    found = door(httproute([{"filters": [changes], **to("v1")}]))
    fields = found.asked("/", X_Set="old", x_add="a", X_Remove="x", X_Keep="k", host="shop.test:8080")[
        "fields"
    ]
    assert (fields["x-set"], fields["x-add"], fields["x-keep"]) == ("new", "a,b", "k")
    assert "x-remove" not in fields
    assert fields["host"] == "shop.test:8080"


def test_response_fields_and_changes_for_one_backend_of_several(door) -> None:
    response = header_filter("Response", set=pairs(X_By="door"), add=pairs(X_Seen="yes"))
    refs = [
        {"name": "v1", "weight": 1, "filters": [header_filter(set=pairs(X_Arm="one"))]},
        {"name": "v2", "weight": 1, "filters": [header_filter(set=pairs(X_Arm="two"))]},
    ]
    found = door(httproute([{"filters": [response], "backendRefs": refs}]))
    seen = set()
    for _ in range(40):
        answer, body = found.ask("/")
        assert (answer.headers["X-By"], answer.headers["X-Seen"]) == ("door", "yes")
        asked = json.loads(body)
        seen.add((asked["by"], asked["fields"]["x-arm"]))
    assert seen == {("v1", "one"), ("v2", "two")}


@pytest.mark.parametrize(
    ("rewrite", "target", "path", "host"),
    [
        (
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/xyz"}},
            "/foo/bar",
            "/xyz/bar",
            None,
        ),
        ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}}, "/foo", "/", None),
        ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}, "/foo/?a=b", "/?a=b", None),
        ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/one"}}, "/foo/a?b", "/one?b", None),
        ({"hostname": "other.test"}, "/foo/a", "/foo/a", "other.test"),
    ],
)
def test_rewrites(door, rewrite: dict, target: str, path: str, host: str | None) -> None:
    rule = {
        "matches": [{"path": {"value": "/foo"}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
    }
    asked = door(httproute([{**rule, **to("v1")}])).asked(target)
    assert (asked["path"], asked["fields"]["host"]) == (path, host or "any.test")


@pytest.mark.parametrize(
    ("redirect", "status", "location"),
    [
        ({"hostname": "new.test"}, 302, "http://new.test:PORT/foo/bar"),
        ({"hostname": "new.test", "statusCode": 301}, 301, "http://new.test:PORT/foo/bar"),
        ({"scheme": "https"}, 302, "https://any.test/foo/bar"),
        ({"scheme": "https", "port": 8443, "statusCode": 308}, 308, "https://any.test:8443/foo/bar"),
        ({"port": 80}, 302, "http://any.test/foo/bar"),
        ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}}, 302, "http://any.test:PORT/x"),
        (
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}},
            302,
            "http://any.test:PORT/x/bar",
        ),
    ],
)
def test_redirects(door, redirect: dict, status: int, location: str) -> None:
    filters = [{"type": "RequestRedirect", "requestRedirect": redirect}]
    found = door(httproute([{"matches": [{"path": {"value": "/foo"}}], "filters": filters}]))
    answer, _ = found.ask("/foo/bar")
    expected = location.replace("PORT", str(found.proxy.port))
    assert (answer.status, answer.headers["Location"]) == (status, expected)


def test_cors_answers_preflights_here(door) -> None:
    cors = {
        "allowOrigins": ["https://*.shop.test"],
        "allowMethods": ["PUT"],
        "allowCredentials": True,
        "maxAge": 60,
    }
    found = door(httproute([{"filters": [{"type": "CORS", "cors": cors}], **to("v1")}]))
    asks = {"Origin": "https://a.shop.test", "Access-Control-Request-Method": "PUT"}
    answer, body = found.ask("/", "OPTIONS", **asks)
    assert (answer.status, body, answer.headers["X-By"]) == (204, b"", None)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.shop.test"
    assert answer.headers["Access-Control-Allow-Methods"] == "PUT"
    assert answer.headers["Access-Control-Max-Age"] == "60"
    answer, _ = found.ask("/", Origin="https://a.shop.test")
    assert (answer.headers["X-By"], answer.headers["Access-Control-Allow-Credentials"]) == ("v1", "true")


def test_several_mirrors_get_copies(door) -> None:
    mirrors = [
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 1}}}
        for name in ("v2", "v3", "nobody")
    ]
    found = door(httproute([{"filters": mirrors, **to("v1")}]))
    assert found.by("/") == "v1"
    assert [mirror["to"] for mirror in found.proxy.stats()["mirrors"]] == ["v2", "v3"]


def test_time_limits_and_retries(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    rule = {
        "timeouts": {"request": "1m30s", "backendRequest": "500ms"},
        "retry": {"attempts": 2, "codes": [503], "backoff": "100ms"},
        **to("v1"),
    }
    off = {"timeouts": {"request": "0s"}, "retry": {"attempts": 0}, **to("v1")}
    file.write_text(yaml.safe_dump(httproute([rule, {"matches": [{"path": {"value": "/o"}}], **off}])))
    settings = parse_settings(compile_routes([file], {"v1": ["127.0.0.1:1"]}, "127.0.0.1:0").settings)
    plain, limited = settings.route
    assert (limited.timeout, limited.try_timeout, plain.timeout, plain.try_timeout) == (
        90.0,
        0.5,
        None,
        86400.0,
    )
    retry = settings.service[limited.services[0]].retry
    assert (retry.attempts, retry.codes, retry.backoff) == (3, (503, 504), 0.1)
    assert settings.service[plain.services[0]].retry is None


def test_objects_of_other_kinds_and_fields_of_kubernetes_are_tolerated(door) -> None:
    gateway = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "spec": {"anything": 1}}
    route = httproute(
        [{"name": "named", **to("v1", namespace="other", group="", kind="Service")}],
        parentRefs=[{"name": "gw", "sectionName": "http", "namespace": "x"}],
        metadata={"namespace": "shop", "labels": {"a": "b"}},
    )
    listed = {"apiVersion": "v1", "kind": "List", "items": [{**route, "status": {"parents": []}}]}
    assert door(gateway, listed).by("/") == "v1"


WRONG = [
    ("", "has no HTTPRoute"),
    ("a: [", "is not valid YAML"),
    ("- 1", "document 0: expected a Kubernetes object with 'kind'"),
    ("kind: HTTPRoute", "document 0: expected an HTTPRoute with 'spec'"),
    ("kind: Pod", "has no HTTPRoute"),
]
BAD_RULES = [
    ({"filters": [{"type": "ExternalAuth"}]}, "filters.0.type: expected one of RequestHeaderModifier"),
    ({"filters": [{"type": "URLRewrite"}]}, "filters.0: expected 'urlRewrite' for this type"),
    ({"sessionPersistence": {}}, "sessionPersistence: cannot be obeyed"),
    ({"matches": [{"path": {"value": "api"}}]}, "matches.0.path.value: expected a path such as '/api'"),
    ({"matches": [{"path": {"type": "Exakt"}}]}, "matches.0.path.type: expected one of Exact"),
    ({"matches": [{"pathh": {}}]}, "matches.0.pathh: cannot be obeyed (did you mean 'path'?)"),
    ({"matches": [{"headers": [{"name": "a"}]}]}, "matches.0.headers.0: expected 'name' and 'value'"),
    ({"timeouts": {"request": "ten"}}, "timeouts.request: expected a duration"),
    ({"retry": {"codes": [404]}}, "retry.codes.0: expected a whole number from 500 to 599"),
    ({"backendRefs": [{"name": "v1", "weight": -1}]}, "backendRefs.0.weight: expected a whole number"),
    (
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {}}]},
        "filters.0.requestRedirect: a redirect to the same URL",
    ),
    (
        {
            "matches": [{"path": {"type": "Exact", "value": "/a"}}],
            "filters": [
                {
                    "type": "URLRewrite",
                    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
                }
            ],
        },
        "filters.0.urlRewrite.path: ReplacePrefixMatch needs a match of type PathPrefix",
    ),
]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *WRONG,
        *((yaml.safe_dump(httproute([rule])), f"route.spec.rules.0.{said}") for rule, said in BAD_RULES),
    ],
)
def test_what_cannot_be_obeyed_is_one_line_with_file_key_and_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as wrong:
        compile_routes([file], {"v1": ["127.0.0.1:1"]}, "127.0.0.1:0")
    assert str(wrong.value).startswith(f"{file}: {said}")
    assert "\n" not in str(wrong.value)
