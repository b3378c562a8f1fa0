"""Child processes that exchange lines of JSON with their parent, and that end when the parent ends.

A child's standard input is a pipe from the parent. The kernel closes it when the parent dies, even by
SIGKILL, and every child ends at the end of its standard input. Each child has a separate session. So Ctrl-C
reaches only the parent, which then stops the children in order.

Interruptions are delayed while a child is started or stopped. Otherwise one could come after the fork, but
before the child is registered, and then nothing would stop the child. At the interpreter's exit, all
remaining children are stopped. Threads share `_living`; its single operations are atomic.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from scenarios.uninterrupted import uninterrupted

_STOP_S = 5.0
_TAIL_LINES = 15


class LoadTestError(RuntimeError):
    """A process of the load test failed; the message has its name and its last output."""


class Child:
    """One child process, started at once.

    Parameters
    ----------
    name : str
        Its name in error messages, such as ``"the proxy"``.
    command : sequence of str
        Program and arguments.
    environment : mapping, optional
        Its environment variables; by default those of the parent.
    folder : path, optional
        Its working directory; by default that of the parent.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child, closed in stop
        self._unread = b""
        with uninterrupted():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                cwd=folder,
                bufsize=0,
                start_new_session=True,
            )
            _living.add(self)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one line of JSON to its standard input.

        Raises
        ------
        LoadTestError
            If it has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
        except OSError:
            raise self.failure("ended") from None

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next line of JSON from its standard output; None if none comes within `seconds`.

        Raises
        ------
        LoadTestError
            If it ends, or writes something that is not JSON.
        """
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(output, select.POLLIN)
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            if not poller.poll(max(deadline - time.monotonic(), 0.0) * 1e3):
                return None
            data = os.read(output, 65536)
            if not data:
                raise self.failure("ended")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            raise self.failure(f"wrote {line[:200]!r} instead of a line of JSON") from None
        return message

    def expect(self, seconds: float) -> dict[str, Any]:
        """Like `receive`, but raises `LoadTestError` if no line comes in time."""
        message = self.receive(seconds)
        if message is None:
            raise self.failure(f"did not respond for {seconds:g} s")
        return message

    def failure(self, what: str) -> LoadTestError:
        """An error with the child's name, its exit, and the last lines of its standard error."""
        if what == "ended":
            with contextlib.suppress(subprocess.TimeoutExpired):
                what = f"ended ({_ending(self._process.wait(1.0))})"
        said = self.last_words()
        return LoadTestError(f"{self.name} {what}" + (f":\n{said}" if said else ""))

    def last_words(self) -> str:
        """The last lines of its standard error."""
        file = self._errors.fileno()  # read without a seek: the child writes at the same offset
        size = os.fstat(file).st_size
        lines = os.pread(file, 8192, max(size - 8192, 0)).decode("utf-8", "replace").strip().splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def line_from(self, beginning: str) -> str:
        """The rest of the first line with this beginning on its standard error; empty if there is none."""
        file = self._errors.fileno()
        said = os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")
        lines = (line for line in said.splitlines() if line.startswith(beginning))
        return next(lines, "").removeprefix(beginning)

    def cpu_seconds(self) -> float:
        """CPU time of it and all processes below it, user and system; 0 if it has ended."""
        return sum(map(_cpu_seconds, _with_descendants(self.pid)))

    def hang_up(self) -> None:
        """Close its standard input, as the kernel does when the parent dies."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._process.terminate()

    def wait(self, seconds: float) -> int:
        """Its exit code, negative for a signal's number.

        Raises
        ------
        LoadTestError
            If it still runs after `seconds`.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failure(f"did not end within {seconds:g} s") from None

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if it does not end in time; returns after it has ended."""
        with uninterrupted():
            self._end()
            _living.discard(self)

    def _end(self) -> None:
        process = self._process
        try:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, self._errors):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _cpu_seconds(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            values = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def _children_of(pid: int) -> list[int]:
    """The living child processes of all threads of a process."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            found += map(int, file.read_text(encoding="ascii").split())
    return found


def _with_descendants(pid: int) -> list[int]:
    """A process, its children, theirs, and so on."""
    return [pid, *(below for child in _children_of(pid) for below in _with_descendants(child))]


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


_living: set[Child] = set()


@atexit.register
def _stop_what_is_left() -> None:
    with uninterrupted():
        for child in tuple(_living):
            child.stop()
