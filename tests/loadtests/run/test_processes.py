"""Child processes: they speak JSON, fail with clear words, and never outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loadtests.run.processes import Child, LoadTestError
from scenarios.uninterrupted import uninterrupted

ECHO = "import sys\nprint('{}', flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_until_gone(pid: int, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_parent_and_child_exchange_lines_of_json() -> None:
    with Child("echo", python(ECHO)) as child:
        assert child.expect(60.0) == {}
        child.send({"a": 1})
        child.send({"b": [2]})
        assert (child.expect(60.0), child.expect(60.0)) == ({"a": 1}, {"b": [2]})
        assert child.receive(0.01) is None


def test_a_child_that_dies_is_reported_with_its_last_words() -> None:
    with Child("the proxy", python("import sys; sys.exit('port 80 is taken')")) as child:
        with pytest.raises(LoadTestError, match=r"the proxy ended \(exit code 1\):\nport 80 is taken"):
            child.expect(60.0)
        with pytest.raises(LoadTestError, match="the proxy ended"):
            child.send({})


def test_a_child_that_is_killed_is_reported_with_the_signal() -> None:
    with Child("the proxy", python(ECHO)) as child:
        child.expect(60.0)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(LoadTestError, match="killed by SIGKILL"):
            child.expect(60.0)


def test_a_silent_child_is_an_error_after_the_time_limit() -> None:
    with (
        Child("Locust", python("import time; time.sleep(60)")) as child,
        pytest.raises(LoadTestError, match=r"Locust did not respond for 0\.1 s"),
    ):
        child.expect(0.1)


def test_a_child_that_says_something_else_is_an_error() -> None:
    with (
        Child("Locust", python("print('hello')")) as child,
        pytest.raises(LoadTestError, match="wrote b'hello' instead of a line of JSON"),
    ):
        child.expect(60.0)


def test_a_child_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.run.processes._STOP_S", 0.2)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('{}', flush=True); time.sleep(60)"
    child = Child("stubborn", python(code))
    child.expect(60.0)
    child.stop()
    assert not psutil.pid_exists(child.pid)


def test_a_child_in_a_with_block_is_gone_after_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), Child("echo", python(ECHO)) as child:
        child.expect(60.0)
        raise KeyboardInterrupt
    assert not psutil.pid_exists(child.pid)


def test_ctrl_c_in_the_terminal_reaches_the_parent_only() -> None:
    with Child("echo", python(ECHO)) as child:
        child.expect(60.0)
        assert os.getsid(child.pid) != os.getsid(0)


def test_cpu_time_of_a_child_is_known() -> None:
    code = "import time\nwhile time.process_time() < 0.1: pass\nprint('{}', flush=True); input()"
    with Child("busy", python(code)) as child:
        child.expect(60.0)
        assert 0.08 <= child.cpu_seconds() < 1.0


PARENT = """
import sys, time
from loadtests.run.processes import Child
child = Child("the backends", [sys.executable, "-m", "loadtests.backend.server", "{}", "--until-eof"])
print(child.expect(60.0)["pid"], flush=True)
time.sleep(60)
"""


def test_children_end_when_their_parent_is_killed() -> None:
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(python(PARENT), stdout=subprocess.PIPE, text=True, cwd=root)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait(60.0)
    parent.stdout.close()
    assert wait_until_gone(pid)


INTERRUPTED = """
import os, signal, subprocess, sys
from loadtests.run.processes import Child
fork = subprocess.Popen.__init__
def interrupted(self, *arguments, **keywords):
    fork(self, *arguments, **keywords)
    print(self.pid, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
subprocess.Popen.__init__ = interrupted
Child("it", [sys.executable, "-c", "import time; time.sleep(60)"])
"""


def test_an_interruption_between_fork_and_assignment_leaves_no_child() -> None:
    root = Path(__file__).parents[3]
    parent = subprocess.run(
        python(INTERRUPTED), check=False, capture_output=True, text=True, cwd=root, timeout=120
    )
    assert "KeyboardInterrupt" in parent.stderr
    assert not psutil.pid_exists(int(parent.stdout))


def test_an_interruption_waits_for_the_end_of_what_must_be_whole() -> None:
    done = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        assert done == ["whole"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
