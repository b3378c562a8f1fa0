"""How a command ends if it is interrupted while it loads, or if its output cannot be written."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

OneLine = Callable[[str], str]
Run = Callable[..., tuple[int, str, str]]

SECONDS = 60.0
MOMENT = 1.0
"""Child processes that must end with a killed process; idle workers would otherwise stay for minutes."""
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


def ended(*command: str, stdout: int | IO[str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
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


def test_an_output_that_is_only_for_reading_is_one_line(one_line: OneLine, proxy_file: Path) -> None:
    with open("/dev/null") as reading:
        done = ended("-m", "twin", "check", str(proxy_file), stdout=reading)
    assert done.returncode == 2
    assert one_line(done.stderr) == "standard output cannot be written: Bad file descriptor"


def test_a_fault_of_ours_is_not_taken_for_an_output_that_cannot_be_written(
    run: Run, monkeypatch: pytest.MonkeyPatch, proxy_file: Path
) -> None:
    def fault(_file: Path) -> None:
        os.write(2**20, b"to nowhere")

    monkeypatch.setattr("realproxy.control.check.check", fault)
    with pytest.raises(OSError, match="Bad file descriptor"):
        run("check", proxy_file)


def test_a_full_disk_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, one_line: OneLine, proxy_file: Path
) -> None:
    def full(_file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/somewhere")

    monkeypatch.setattr("realproxy.control.check.check", full)
    code, _, said = run("check", proxy_file)
    assert code == 2
    assert one_line(said) == "/tmp/somewhere cannot be written: No space left on device"


INTERRUPTED_IN_A_FINALIZER = """
import signal, time
from twin.cli.interruption import hear_at_start, hear_in_command

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

hear_at_start()
hear_in_command()
try:
    Finalized()
    time.sleep(30)
except KeyboardInterrupt:
    raise SystemExit(130)
"""
INTERRUPTED_AT_THE_END = """
import atexit, signal, sys
from twin.cli import entry_point

def interrupt():
    for _ in range({times}):
        signal.raise_signal(signal.SIGINT)

def hear_at_end(hear=entry_point.hear_at_end):
    hear()
    atexit.register(interrupt)

entry_point.hear_at_end = hear_at_end
sys.argv = ["proxytwin", "--help"]
entry_point.main()
"""


def test_an_interruption_that_cannot_be_raised_is_raised_as_soon_as_it_can() -> None:
    done = ended("-c", INTERRUPTED_IN_A_FINALIZER)
    assert (done.returncode, done.stderr) == (130, "")


def test_what_has_ended_is_interrupted_by_the_second_wish() -> None:
    first, second, third = (
        ended("-c", INTERRUPTED_AT_THE_END.format(times=times), stdout=subprocess.DEVNULL)
        for times in (1, 2, 3)
    )
    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stderr) == (130, "proxytwin: interrupted\n")
    assert (third.returncode, third.stderr) == (130, "proxytwin: interrupted\n")


def test_ctrl_c_while_worker_processes_start_is_one_line(one_line: OneLine, scenario: Path) -> None:
    with simulating(scenario) as process:
        worker = os.pidfd_open(await_children(process.pid, "popen_loky_posix")[0])
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert one_line(said) == "interrupted"
    end = select.poll()
    end.register(worker)
    try:
        assert end.poll(MOMENT * 1e3)
    finally:
        os.close(worker)


def test_a_worker_process_that_dies_is_one_line(one_line: OneLine, scenario: Path) -> None:
    with simulating(scenario) as process:
        os.kill(await_children(process.pid, "popen_loky_posix")[0], signal.SIGKILL)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert one_line(said) == "a worker process died; perhaps it ran out of memory"


@contextmanager
def simulating(scenario: Path) -> Iterator[subprocess.Popen[str]]:
    """A long simulation in several processes that are a terminal's foreground group."""
    options = ("--replications", "400", "--jobs", "2")
    command = [sys.executable, "-m", "twin", "simulate", str(scenario), *options]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def await_children(parent: int, program: str) -> list[int]:
    """The process ids of its children in whose command line `program` is, as soon as there are any."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = []
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            with suppress(OSError):  # one that has ended meanwhile
                if program in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(int(pid))
        if found:
            return found
        time.sleep(0.002)
    raise AssertionError(f"no {program} within {SECONDS:g} s")
