"""`proxytwin import-httproute`: the file it writes, and one line for a user's mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from policies.settings import load_settings

Run = Callable[..., tuple[int, str, str]]

ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  hostnames: ["shop.test"]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /api } }]
      backendRefs: [{ name: api, port: 80, weight: 9 }, { name: api-canary, port: 80, weight: 1 }]
"""


@pytest.fixture
def route(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(ROUTE)
    return path


def test_the_written_file_is_accepted_by_check(run: Run, route: Path, tmp_path: Path) -> None:
    written = tmp_path / "proxy.toml"
    status, out, err = run(
        "import-httproute", route, "--backend=api=127.0.0.1:9001", "--backend=api-canary=127.0.0.1:9002",
        "--listen=127.0.0.1:8080", f"--output={written}",
    )  # fmt: skip
    assert (status, out) == (0, ""), err
    assert run("check", written)[0] == 0
    settings = load_settings(written)
    assert settings.listen == "127.0.0.1:8080"
    assert len(settings.service) == 2


def test_without_output_the_file_goes_to_standard_output(run: Run, route: Path, tmp_path: Path) -> None:
    status, out, _ = run("import-httproute", route, "--backend=api=127.0.0.1:9001", "--listen=127.0.0.1:8080")
    assert status == 0
    (tmp_path / "proxy.toml").write_text(out)
    assert run("check", tmp_path / "proxy.toml")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--backend=api"],
            "--backend: api: expected NAME=HOST:PORT such as web=127.0.0.1:9001\n",
        ),
        (
            ["--backend=api=127.0.0.1:99999"],
            "--backend: api=127.0.0.1:99999: expected NAME=HOST:PORT",
        ),
        (["--output=no/such/folder/proxy.toml"], "no/such/folder/proxy.toml"),
    ],
)
def test_a_mistake_is_one_line(run: Run, route: Path, arguments: list[str], said: str) -> None:
    status, out, err = run("import-httproute", route, "--listen=127.0.0.1:8080", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "content", ["kind: Service\nmetadata: { name: a }\n", "not: [closed", "", "- 1\n", "\x00", "just text\n"]
)
def test_without_an_httproute_one_line_names_the_file(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(content)
    status, out, err = run("import-httproute", path, "--listen=127.0.0.1:8080")
    assert (status, out) == (2, "")
    assert str(path) in err
    assert err.count("\n") == 1
