"""Whatever is wrong in a file of HTTPRoutes: one line says where, or the file is compiled."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies.bad_input import BadInput
from policies.settings import parse_settings
from twin.httproute import compile_routes, to_toml

VALID: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "shop", "namespace": "a", "creationTimestamp": "2024-01-31T12:00:00Z"},
    "spec": {
        "parentRefs": [{"name": "gateway", "sectionName": "http"}],
        "hostnames": ["shop.test", "*.shop.test"],
        "rules": [
            {
                "name": "first",
                "matches": [
                    {
                        "path": {"type": "PathPrefix", "value": "/api"},
                        "headers": [{"name": "X-A", "type": "RegularExpression", "value": "[0-9]+"}],
                        "queryParams": [{"name": "q", "value": "1"}],
                        "method": "GET",
                    }
                ],
                "filters": [
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {
                            "set": [{"name": "A", "value": "1"}],
                            "add": [{"name": "B", "value": "2"}],
                            "remove": ["C"],
                        },
                    },
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {
                            "hostname": "b.test",
                            "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2"},
                        },
                    },
                    {
                        "type": "RequestMirror",
                        "requestMirror": {
                            "backendRef": {"name": "v2", "port": 1},
                            "fraction": {"numerator": 1, "denominator": 3},
                        },
                    },
                    {
                        "type": "CORS",
                        "cors": {"allowOrigins": ["https://*.a.test"], "allowMethods": ["PUT"], "maxAge": 7},
                    },
                ],
                "backendRefs": [
                    {"name": "v1", "port": 80, "weight": 3},
                    {
                        "name": "v2",
                        "namespace": "b",
                        "filters": [
                            {
                                "type": "ResponseHeaderModifier",
                                "responseHeaderModifier": {"set": [{"name": "D", "value": "4"}]},
                            }
                        ],
                    },
                ],
                "timeouts": {"request": "10s", "backendRequest": "500ms"},
                "retry": {"attempts": 2, "codes": [503], "backoff": "100ms"},
            },
            {
                "matches": [{"path": {"type": "Exact", "value": "/old"}}],
                "filters": [
                    {
                        "type": "RequestRedirect",
                        "requestRedirect": {
                            "scheme": "https",
                            "hostname": "c.test",
                            "port": 443,
                            "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"},
                            "statusCode": 301,
                        },
                    }
                ],
            },
        ],
    },
}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every table or list in a value, with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    return found + [place for key in keys for place in places(value[key])]


TEXTS = [
    "", "/", "*", "~", "a b", "a\nb", "a\x00b", "é", "\ud800", "%", "//", "/%ff", "500", "0s", "1h1h1h1h1h",
    "(", "(?i)a", "[", "a)|(b", "https://", "*.a", "x" * 300, "/a?b", "Host", "Content-Length", "::1",
    "1.2.3.4",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from(TEXTS), st.text()
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from(["name", "x"]), SCALARS)
)
NAMES = sorted({key for _, key in places(VALID) if isinstance(key, str)})


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """The valid document with some values replaced, left out, added or moved."""
    document = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        found = places(document)
        if not found:
            break
        table, key = found[draw(st.integers(0, len(found) - 1))]
        change = draw(st.sampled_from(["replace", "remove", "add", "move"]))
        if change == "replace":
            table[key] = draw(VALUES)
        elif change == "remove":
            del table[key]
        elif change == "move":
            other, from_ = found[draw(st.integers(0, len(found) - 1))]
            table[key] = copy.deepcopy(other[from_]) if from_ in other or isinstance(other, list) else None
        elif isinstance(table, dict):
            table[draw(st.sampled_from(NAMES) | st.integers())] = draw(VALUES)
        else:
            table.append(draw(VALUES))
    return document


def compile_text(text: str, folder: Path) -> None:
    """Compile; a mistake must be one line, and what was compiled must be readable."""
    file = folder / "routes.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        settings = compile_routes([file], {"v1": ["127.0.0.1:1"], "b/v2": ["127.0.0.1:2"]}, ":80").settings
    except BadInput as mistake:
        assert str(mistake).startswith(f"{file}: ")
        assert "\n" not in str(mistake)
        assert ": route." not in str(mistake), "the key is one of our file, not of the user's"
    else:
        written = to_toml(settings).encode()
        assert parse_settings(tomllib.loads(written.decode())) == parse_settings(settings)


def test_the_document_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(yaml.safe_dump(VALID), encoding="utf-8")
    settings = compile_routes([file], {"v1": ["a:1"], "b/v2": ["a:2"]}, ":80").settings
    assert len(settings["route"]) == 4


@given(mutants())
def test_a_changed_document_never_gives_a_traceback(tmp_path_factory: Any, document: dict[str, Any]) -> None:
    compile_text(yaml.safe_dump(document), tmp_path_factory.getbasetemp())


@given(st.data())
def test_a_changed_text_never_gives_a_traceback(tmp_path_factory: Any, data: st.DataObject) -> None:
    text = yaml.safe_dump(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 6))
        new = data.draw(st.text(st.sampled_from("!&*{}[]:,-?|>'\"%@`#\n\t 0aé~<="), max_size=4))
        text = text[:at] + new + text[at + length :]
    compile_text(text, tmp_path_factory.getbasetemp())
