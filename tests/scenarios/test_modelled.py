"""What the simulator does not model is one line with its key, never a silent difference between the twins."""

from __future__ import annotations

from typing import Any

import pytest

from policies.bad_input import BadInput
from scenarios import parse_scenario
from scenarios.modelled import BELOW_HTTP, ONLY_REAL

SPLIT: dict[str, Any] = {
    "title": "split",
    "workload": {"rate": "10/s"},
    "backend": {"api": {}, "new": {}, "shadow": {}},
    "proxy": {
        "route": [{"to": {"api": 9, "new": 1}}],
        "service": {name: {"upstreams": name} for name in ("api", "new", "shadow")},
    },
}
ONLY = "not modelled; only the real proxy obeys it"


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("route.0.override", {"header": "X-Arm"}, ONLY),
        ("route.0.allow", ["10.0.0.0/8"], ONLY),
        ("route.0.auth", {"ann": "secret"}, ONLY),
        ("service.api.resolve", "30s", ONLY),
        ("route.0.body", "1KiB", ONLY),
        ("route.0.when.caller", "front", "lies below HTTP, which the simulator does not model"),
        (
            "identity",
            {"folder": "certs", "name": "front"},
            "lies below HTTP, which the simulator does not model",
        ),
        ("forward.listen", "127.0.0.1:0", "not modelled in a proxy's table; only the real proxy obeys it"),
        ("limits.body", "1KiB", ONLY),
        ("route.0.cache", True, "not modelled with several services in 'to'"),
        ("route.0.sticky", "header:X-User", "not modelled: the requests of a workload have no such field"),
        ("service.api.hash_on", "header:X-User", "not modelled: expected 'client' or 'path' in a scenario"),
        ("service.new.hash_on", "cookie:arm", "not modelled: expected 'client' or 'path' in a scenario"),
    ],
)
def test_a_key_that_is_not_modelled_is_one_line(key: str, value: object, problem: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_scenario(SPLIT, {f"proxy.{key}": value})
    assert str(error.value).endswith(f"proxy.{key}: {problem}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("route.0.sticky", "client"),
        ("route.0.sticky", "cookie:arm"),
        ("route.0.sticky", "canary-cookie:arm"),
        ("route.0.mirror", {"to": "shadow"}),
        ("route.0.canary", {"watch": "new", "steps": [0.5, 1.0]}),
        ("route.0.rewrite", {"prefix": "/v2"}),
        ("service.api.hash_on", "path"),
        ("route.0.timeout", "1s"),
        ("route.0.try_timeout", "1s"),
    ],
)
def test_what_is_modelled_is_taken(key: str, value: object) -> None:
    assert parse_scenario(SPLIT, {f"proxy.{key}": value}).scenario.title == "split"


@pytest.mark.parametrize("key", [*BELOW_HTTP, *ONLY_REAL])
def test_every_refused_key_is_one_of_a_proxy(key: str) -> None:
    """A key that was renamed would no longer be refused."""
    from policies.settings import ProxySettings, Route, Service

    first, *rest = key.split(".")
    model: Any = ProxySettings
    if rest[:1] == ["*"]:
        model, rest = {"route": Route, "service": Service}[first], rest[1:]
        first, *rest = rest
    assert first in model.model_fields
    if rest:
        inner = model.model_fields[first].annotation
        assert rest[0] in inner.model_fields


@pytest.mark.parametrize("errors", [-0.1, 1.1, "many"])
def test_the_share_of_errors_is_a_share(errors: object) -> None:
    with pytest.raises(BadInput, match=r"backend\.api\.errors"):
        parse_scenario(SPLIT, {"backend.api.errors": errors})
