"""The command `exposure` without root: modelled, marked so, in one line each; and its mistakes."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twin.exposure import Way
from twin.exposure.obstacles import obstacles

Run = Callable[..., tuple[int, str, str]]
OPTIONS = [str(way) for way in Way]


@pytest.fixture
def without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)


@pytest.mark.usefixtures("without_root")
def test_without_root_the_table_is_modelled_and_one_line_says_what_was_not_measured(
    run: Run, tmp_path: Path
) -> None:
    data, picture = tmp_path / "e.json", tmp_path / "e.png"
    code, out, err = run("exposure", "--json", data, "--plot", picture)
    assert code == 0
    assert err == f"proxytwin: not measured, modelled: {', '.join(OPTIONS)}: not root: namespaces, devices " \
        "and packet sockets need root\n"  # fmt: skip
    assert out.count("MODELLED") >= len(Way) and "(measured)" not in out and "proven" not in out
    found = json.loads(data.read_text())
    assert list(found["columns"]) == OPTIONS
    assert {column["measured"] for column in found["columns"].values()} == {False}
    assert found["columns"]["vpn"]["states"]["proxy or tunnel dead"]["verdict"] == "open"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("without_root")
def test_only_the_columns_that_are_asked_for_are_shown(run: Run) -> None:
    code, out, _ = run("exposure", "--columns", "vpn,socks5", "--columns", "direct", "--without-encryption")
    head = out.splitlines()[2]
    assert code == 0
    assert [name for name in OPTIONS if name in head.replace("┃", " ").split()] == ["direct", "socks5", "vpn"]
    assert "without encryption" in out and "kill switch" not in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--columns", "vpm"], "--columns: vpm: unknown way (did you mean 'vpn'?)"),
        (["--columns", " , "], "--columns: expected at least one way"),
        (["--plot", "e.txt"], "--plot: e.txt: expected a name that ends in"),
        (["--json", "/proc/none/e.json"], "--json: /proc/none/e.json: cannot create its folder"),
    ],
)
def test_a_mistake_is_one_line(
    run: Run, one_line: Callable[[str], str], options: list[str], said: str
) -> None:
    code, out, err = run("exposure", *options)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(said)


@pytest.mark.parametrize(
    ("name", "module", "replacement", "reason"),
    [
        ("which", shutil, lambda _: None, "the command ip is not there (Debian: iproute2)"),
        ("find_spec", importlib.util, lambda _: None, "the package cryptography is not installed"),
        ("geteuid", os, lambda: 1, "not root"),
    ],
)
def test_each_obstacle_has_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, module: Any, replacement: Any, reason: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    if name != "which":
        monkeypatch.setattr(shutil, "which", lambda _: "/sbin/ip")
    monkeypatch.setattr(module, name, replacement, raising=False)
    found = obstacles([Way.CONNECT, Way.VPN])
    assert found.keys() == {Way.CONNECT, Way.VPN} and all(why.startswith(reason) for why in found.values())


def test_elsewhere_than_on_linux_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert obstacles([Way.VPN]) == {Way.VPN: "network namespaces exist only on Linux"}
