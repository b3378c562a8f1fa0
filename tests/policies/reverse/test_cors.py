"""CORS: the answers to browsers, by origin, credentials and wildcard."""

from __future__ import annotations

from typing import Any

import pytest

from policies.reverse.cors import CorsRules
from policies.settings.ingress import Cors


def fields(cors: dict[str, Any], *, preflight: bool = False, **asked: str) -> dict[str, str]:
    rules = CorsRules(Cors(**cors))
    values = {name.replace("_", "-"): value for name, value in asked.items()}
    return dict(rules.preflight(values.get) if preflight else rules.response(values.get))


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (["https://shop.test"], "https://shop.test", True),
        (["https://shop.test"], "https://SHOP.test", True),
        (["https://shop.test"], "http://shop.test", False),
        (["https://shop.test"], "https://shop.test:8443", False),
        (["https://shop.test:443"], "https://shop.test", True),
        (["https://*.shop.test"], "https://a.b.shop.test", True),
        (["https://*.shop.test"], "https://shop.test", False),
        (["https://*.shop.test"], "https://evil.test/.shop.test", False),
        (["https://*"], "https://any.test", True),
        (["*"], "null", True),
        ([], "https://shop.test", False),
    ],
)
def test_which_origins_are_allowed(origins: list[str], origin: str, allowed: bool) -> None:
    found = fields({"origins": origins}, origin=origin)
    assert ("Access-Control-Allow-Origin" in found) is allowed


def test_an_allowed_origin_is_echoed_and_named_in_vary() -> None:
    found = fields({"origins": ["https://*.test"], "expose": ["X-Id", "X-Age"]}, origin="https://a.test")
    assert found == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": "https://a.test",
        "Access-Control-Expose-Headers": "X-Id, X-Age",
    }


def test_a_request_without_origin_only_varies() -> None:
    assert fields({"origins": ["https://a.test"]}) == {"Vary": "Origin"}
    assert fields({"origins": ["*"]}) == {}


def test_a_preflight_lists_methods_and_fields() -> None:
    cors = {"origins": ["https://a.test"], "methods": ["PUT", "DELETE"], "headers": ["X-A"], "max_age": "60s"}
    asked = {"origin": "https://a.test", "access-control-request-method": "PUT"}
    assert fields(cors, preflight=True, **asked) == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": "https://a.test",
        "Access-Control-Allow-Methods": "PUT, DELETE",
        "Access-Control-Allow-Headers": "X-A",
        "Access-Control-Max-Age": "60",
    }
    assert fields(cors, preflight=True, **{**asked, "origin": "https://b.test"}) == {"Vary": "Origin"}


def test_wildcards_are_spelled_out_with_credentials() -> None:
    cors = {"origins": ["*"], "methods": ["*"], "headers": ["*"]}
    asked = {
        "origin": "https://a.test",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "x-a,x-b",
    }
    plain, secret = (
        fields({**cors, "credentials": secret}, preflight=True, **asked) for secret in (False, True)
    )
    names = [f"Access-Control-Allow-{name}" for name in ("Origin", "Methods", "Headers")]
    assert [plain[name] for name in names] == ["*", "*", "*"]
    assert [secret[name] for name in names] == ["https://a.test", "PUT", "x-a,x-b"]
    assert secret["Access-Control-Allow-Credentials"] == "true"
    assert "Access-Control-Allow-Credentials" not in plain


def test_only_an_options_request_of_a_browser_is_a_preflight() -> None:
    rules = CorsRules(Cors(origins=("*",)))
    both = {"origin": "https://a.test", "access-control-request-method": "PUT"}
    assert rules.is_preflight("OPTIONS", both.get)
    assert not rules.is_preflight("GET", both.get)
    assert not rules.is_preflight("OPTIONS", {"origin": "https://a.test"}.get)
