"""`--real`, `--target` and `backends` on the command line: one line for a mistake, nothing left behind."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]


def serves(process: psutil.Process) -> bool:
    """Whether it is an nginx that has started to serve, not one that tells its version."""
    try:
        return process.cmdline()[:1] != [] and process.cmdline()[0].startswith("nginx: ")
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("command", ["confirm", "loadtest"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--real", "ngnix"], "--real: ngnix: expected one of proxytwin, nginx, haproxy, squid, varnish"),
        (["--real", "nginx,nginx"], "--real: nginx: is given twice"),
        (["--backends-port", "9001"], "--backends-port: has no effect without --target"),
        (["--target", "http://127.0.0.1:1", "--real", "nginx"], "expected one of the two"),
        (["--target", "127.0.0.1:1"], "--target: 127.0.0.1:1: expected an address such as"),
        (["--target", "http://127.0.0.1:1"], "--target is one proxy with one setting"),
    ],
)
def test_a_mistake_is_one_line(
    command: str, arguments: list[str], said: str, scenario: Path, run: Run, one_line: OneLine
) -> None:
    code, out, err = run(command, scenario, *arguments)
    assert (code, out) == (2, "")
    assert said in one_line(err)


@pytest.mark.needs("nginx", "haproxy")
def test_what_a_peer_cannot_obey_is_one_line_before_anything_starts(
    scenario: Path, run: Run, one_line: OneLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twin.confirm.procedure.Stage", None)
    change = "proxy.service.web.rate=10/s"
    code, out, err = run("confirm", scenario, "--real", "proxytwin,haproxy", "--set", change)
    assert (code, out) == (2, "")
    assert "proxy.service.web.rate: HAProxy cannot obey it" in one_line(err)


@pytest.mark.needs("nginx", "haproxy")
def test_several_real_twins_are_side_by_side_in_table_json_and_report(
    scenario: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    ModelStage: Callable[..., Any],  # noqa: N803
) -> None:
    asked: list[tuple[Any, ...]] = []

    def stage(*arguments: Any) -> Any:
        asked.append(arguments)
        return ModelStage()

    monkeypatch.setattr("twin.confirm.procedure.Stage", stage)
    file, page = tmp_path / "found.json", tmp_path / "page.html"
    names = "proxytwin,nginx,haproxy"
    code, out, _ = run(
        "confirm", scenario, "--real", names, "--json", file, "--report", page, "--set", "duration=3s"
    )
    found = json.loads(file.read_text())
    assert code in (0, 1)
    assert [arguments[0] for arguments in asked if arguments] == ["nginx", "haproxy"]
    assert out.index("proxytwin") < out.index("nginx") < out.index("HAProxy")
    assert out.count("predicted") == 6
    assert "random(2) may draw the same server twice" in out
    for variant in found["variants"]:
        assert list(variant["real"]) == names.split(",")
        assert variant["measured"] == variant["real"]["proxytwin"]["measured"]
    assert set(found["real"]["nginx"]) == {"calibration", "void", "noise", "notes"}
    assert "HAProxy: prediction beside measurement" in page.read_text()


@pytest.mark.needs("nginx")
def test_an_interruption_leaves_no_peer_behind(
    scenario: Path, tmp_path: Path, started: Callable[..., Any]
) -> None:
    with started(
        "loadtest", scenario, "--real", "nginx", "--set", "duration=30s", folder=tmp_path
    ) as process:
        peers: list[psutil.Process] = []
        deadline = time.monotonic() + 30
        while not peers and time.monotonic() < deadline:
            below = psutil.Process(process.pid).children(recursive=True)
            peers = [child for child in below if serves(child)]
            time.sleep(0.05)
        assert peers
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        _, alive = psutil.wait_procs(peers, timeout=10)
        assert not alive
    assert list(tmp_path.glob("proxytwin-run-*")) == []
