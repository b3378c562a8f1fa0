"""However the command ends: no namespace, no device, no process, no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [
    pytest.mark.skipif(getattr(os, "geteuid", lambda: -1)() != 0, reason="needs root"),
    pytest.mark.needs("ip", "wireguard-go", "wg", "setpriv"),
]
SECONDS = 30.0
WIREGUARD = Path("/var/run/wireguard")


def namespaces_of(processes: list[psutil.Process]) -> set[str]:
    found = set()
    for process in processes:
        for link in Path(f"/proc/{process.pid}/task").glob("*/ns/net"):
            try:
                found.add(str(link.readlink()))
            except OSError:
                continue
    return found


def network_namespaces() -> set[str]:
    return namespaces_of(list(psutil.process_iter()))


def temporary_folder(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("TMPDIR")
    except psutil.Error:
        return None


def devices() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def until(what: str, condition: object) -> None:
    deadline = time.monotonic() + SECONDS
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_command_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    before, devices_before = network_namespaces(), devices()
    with subprocess.Popen(
        [sys.executable, "-m", "twin", "exposure", "--columns", "wireguard"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as command:  # fmt: skip
        parent = psutil.Process(command.pid)

        def in_the_midst() -> bool:
            names = [child.name() for child in parent.children(recursive=True) if child.is_running()]
            return "wireguard-go" in names

        until("it never started WireGuard", in_the_midst)
        children = parent.children(recursive=True)
        mine = namespaces_of([parent, *children]) - before
        assert mine, "it is in the midst of the experiment"
        command.send_signal(number)
        _, err = command.communicate(timeout=SECONDS)
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert (command.returncode, err) == (130, "proxytwin: interrupted\n")
        assert not list(tmp_path.iterdir())
    _, alive = psutil.wait_procs(children, timeout=SECONDS)
    assert not alive
    until("namespaces remain", lambda: not mine & network_namespaces())
    assert devices() == devices_before
    until("sockets remain", lambda: not list(WIREGUARD.glob(f"ptx{command.pid}*")))


def test_a_run_to_the_end_leaves_nothing(tmp_path: Path) -> None:
    """The kernel removes a namespace with its last process and its last open file."""
    devices_before = devices()
    done = subprocess.run(
        [sys.executable, "-m", "twin", "exposure", "--columns=vpn", "--json", str(tmp_path / "e.json")],
        capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]
    assert not [process for process in psutil.process_iter() if temporary_folder(process) == str(tmp_path)]
    assert devices() == devices_before
