"""The command `import-httproute`: what it writes is valid for `check`, and its mistakes are one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]
ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  hostnames: [shop.test]
  rules:
  - matches: [{ path: { value: "/a*~'b" } }]
    backendRefs: [{ name: web, port: 80 }, { name: other.test, weight: 0 }]
  - filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }]
"""
LISTEN = ("--listen", "127.0.0.1:8080")


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTE)
    return file


def test_what_is_written_is_valid_and_says_the_same_on_standard_output(
    run: Run, routes: Path, tmp_path: Path
) -> None:
    backends = ("--backend", "web=127.0.0.1:1", "--backend", "web=[::1]:2", "--backend", "web=127.0.0.1:1")
    written = tmp_path / "proxy.toml"
    assert run("import-httproute", routes, *backends, *LISTEN, "-o", written) == (0, "", "")
    code, out, err = run("import-httproute", routes, *backends, *LISTEN)
    assert (code, err) == (0, "")
    assert out == written.read_text()
    assert 'upstreams = ["127.0.0.1:1", "[::1]:2"]' in out
    code, out, err = run("check", written)
    assert (code, err) == (0, "")
    assert out.strip() == f"{written}: ok"


def test_a_backend_that_no_route_leads_to_is_told(run: Run, routes: Path) -> None:
    backends = ("--backend", "wep=127.0.0.1:1", "--backend", "a/web=127.0.0.1:1")
    code, out, err = run("import-httproute", routes, *backends, *LISTEN)
    assert code == 0
    assert "respond = 500" in out
    assert err.splitlines()[1:] == [
        f"proxytwin: warning: --backend: {name}: no route leads to it" for name in ("a/web", "wep")
    ]


def test_a_backend_without_an_address_is_told_once(run: Run, routes: Path) -> None:
    copied = "{ type: RequestMirror, requestMirror: { backendRef: { name: shadow, port: 80 } } }"
    routes.write_text(f"{ROUTE}  - filters: [{copied}]\n    backendRefs: [{{ name: web, port: 80 }}]\n")
    code, _, err = run("import-httproute", routes, *LISTEN)
    assert code == 0
    assert err.splitlines() == [
        f"proxytwin: warning: {routes}: shop.spec.rules.{key}: no --backend for '{name}'; "
        "it answers 500 for its share, or gets no copy"
        for key, name in (
            ("0.backendRefs.0", "web"), ("2.backendRefs.0", "web"),
            ("2.filters.0.requestMirror.backendRef", "shadow"),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["web", "web=", "=127.0.0.1:1", "web=127.0.0.1", "web=127.0.0.1:0", "web=::1:80", "web=http://a:80",
     "web=a b:1",     "web=127.0.0.1:٣", "web=:80", "web=127.0.0.1:99999"],
)  # fmt: skip
def test_a_wrong_backend_is_one_line(one_line: OneLine, run: Run, routes: Path, text: str) -> None:
    code, out, err = run("import-httproute", routes, "--backend", text, *LISTEN)
    assert (code, out) == (2, "")
    assert one_line(err) == f"--backend: {text}: expected NAME=HOST:PORT such as web=127.0.0.1:9001"


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1", "http://a:80", "::1:80", "a:99999"])
def test_a_wrong_address_to_listen_on_is_one_line(
    one_line: OneLine, run: Run, routes: Path, listen: str
) -> None:
    code, out, err = run("import-httproute", routes, "--listen", listen)
    assert (code, out) == (2, "")
    assert one_line(err).startswith("--listen: expected ")


def test_files_that_cannot_be_read_or_written_are_one_line(
    one_line: OneLine, run: Run, routes: Path, tmp_path: Path
) -> None:
    for arguments, said in (
        ((tmp_path / "none.yaml", *LISTEN), f"{tmp_path / 'none.yaml'}: no such file"),
        ((tmp_path, *LISTEN), f"{tmp_path}: cannot be read: Is a directory"),
        ((routes, *LISTEN, "-o", tmp_path), f"--output: {tmp_path}: cannot be written: Is a directory"),
    ):
        code, out, err = run("import-httproute", *arguments)
        assert (code, out) == (2, "")
        assert one_line(err) == said


@pytest.mark.parametrize(
    "content", ["kind: Service\nmetadata: { name: a }\n", "not: [closed", "", "- 1\n", "\x00", "just text\n"]
)
def test_a_file_without_an_httproute_is_one_line(
    one_line: OneLine, run: Run, routes: Path, content: str
) -> None:
    routes.write_text(content)
    code, out, err = run("import-httproute", routes, *LISTEN)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(str(routes))
