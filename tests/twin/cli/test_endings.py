"""How a command ends that is interrupted while it is loaded, or whose output nobody takes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

OneLine = Callable[[str], str]

SECONDS = 60.0
INTERRUPTED_AT_IMPORT = """
import signal, sys
from twin.cli import main

class Interrupts:
    def find_spec(name, *_):
        if name == sys.argv[2]:
            signal.raise_signal(int(sys.argv[1]))

sys.meta_path.insert(0, Interrupts)
main()
"""


def ended(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *command], stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False, **options
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_while_the_commands_are_loaded_is_one_line(
    one_line: OneLine, number: signal.Signals
) -> None:
    for module in ("typer", "pydantic"):
        done = ended("-c", INTERRUPTED_AT_IMPORT, str(int(number)), module)
        assert done.returncode == 130
        assert one_line(done.stderr) == "interrupted"


def test_nohup_is_obeyed() -> None:
    program = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{INTERRUPTED_AT_IMPORT}"
    done = ended("-c", program, str(int(signal.SIGHUP)), "typer", stdout=subprocess.DEVNULL)
    assert done.returncode == 2  # no such command as the signal's number
    assert "interrupted" not in done.stderr


@pytest.mark.parametrize("command", ["simulate", "check", "serve"])
def test_an_output_that_cannot_be_written_is_one_line(
    one_line: OneLine, proxy_file: Path, scenario: Path, command: str
) -> None:
    with open("/dev/full", "w") as full:
        file = scenario if command == "simulate" else proxy_file
        done = ended("-m", "twin", command, str(file), stdout=full)
    assert done.returncode == 2
    assert "standard output" in one_line(done.stderr)
    assert "No space left on device" in done.stderr
