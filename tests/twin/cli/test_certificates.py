"""The command `certificates`: proxies can use what it writes, and its mistakes are one line."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from policies.settings import Identity
from realproxy import Forward, Proxy, Route, Service

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]
ANYWHERE = "127.0.0.1:0"


def ask(front: Proxy) -> str:
    command = ["curl", "-sS", "--max-time", "10", "-x", front.forward_url, "http://cart/"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.needs("curl")
def test_two_proxies_prove_their_names_with_what_it_writes(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    code, out, err = run("certificates", folder, "front", "cart")
    assert (code, err) == (0, "")
    names = ["ca.pem", "ca.key", "front.pem", "front.key", "cart.pem", "cart.key"]
    assert out.splitlines() == [str(folder / name) for name in names]
    assert {file.name for file in folder.iterdir()} == set(names)
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
    cart = Proxy(
        identity=Identity(folder=str(folder), name="cart"),
        route=[Route(when={"caller": "front"}, respond=204), Route(respond=403)],
    )
    with cart:
        service = Service(upstreams=[f"127.0.0.1:{cart.port}"], mutual=True)
        front = Proxy(
            forward=Forward(listen=ANYWHERE, services=True),
            identity=Identity(folder=str(folder), name="front"),
            service={"cart": service},
        )
        with front:
            assert ask(front) == ""
            code, out, _ = run("certificates", folder, "front")  # again, by the same authority
            assert (code, len(out.splitlines())) == (0, 2)
            front.reload(front.settings)
            assert ask(front) == ""


@pytest.mark.needs("openssl")
def test_openssl_finds_nothing_wrong(run: Run, tmp_path: Path) -> None:
    assert run("certificates", tmp_path, "front", "127.0.0.1", "--days", 0.5)[0] == 0
    for name, option in (("front", "-verify_hostname"), ("127.0.0.1", "-verify_ip")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", option, name]
        command += ["-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / f"{name}.pem")]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "front.pem", tmp_path / "front.key")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ca"], "NAME: ca: expected another name"),
        (["../front"], "NAME: ../front: expected a name such as front"),
        (["front", "--days", "0"], "--days: 0: expected a number of days above 0"),
    ],
)
def test_a_mistake_is_one_line(
    run: Run, one_line: OneLine, tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, out, err = run("certificates", tmp_path / "certs", *arguments)
    assert (code, out) == (2, "")
    assert said in one_line(err)
    assert not (tmp_path / "certs").exists()


@pytest.mark.parametrize("ca", ["nothing", None])
def test_an_authority_that_cannot_sign_is_one_line(
    run: Run, one_line: OneLine, tmp_path: Path, ca: str | None
) -> None:
    run("certificates", tmp_path, "front")
    if ca is None:
        (tmp_path / "ca.key").unlink()
    else:
        (tmp_path / "ca.key").write_text(ca)
    code, _, err = run("certificates", tmp_path, "cart")
    assert code == 2
    assert "ca.key" in one_line(err)
    assert not (tmp_path / "cart.pem").exists()


def test_a_folder_that_cannot_be_one_is_one_line(run: Run, one_line: OneLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run("certificates", tmp_path / "file", "front")
    assert code == 2
    assert "cannot be written" in one_line(err)
