"""What every test may rely on, and what it must leave behind: nothing.

- ``@pytest.mark.needs("nginx", "wrk")`` skips a test, with the reason, where the system lacks a command.
- At the end of each test file no process that it started is alive, and no non-daemon thread.
- With ``PROXYTWIN_NOTHING_SKIPPED=1`` a run in which a test was skipped fails.
- Compiled modules are kept in ``__pycache__``, whatever ``PYTHONDONTWRITEBYTECODE`` says.
"""

import gc
import os
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

DEBIAN_PACKAGE = {
    "initdb": "postgresql", "nginx": "nginx-light", "node": "nodejs", "psql": "postgresql-client",
    "redis-cli": "redis-tools", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
}  # fmt: skip
"""The Debian package of a command, where it is named otherwise."""

SECONDS_TO_END = 30.0
"""How long a process or thread that was told to stop may take to be gone."""

MARK = "PROXYTWIN_TEST_RUN"
"""An environment variable that children inherit, and keep even when their parent has ended."""

RUN = uuid.uuid4().hex

LIVES_AS_LONG_AS_PYTHON = ("resource_tracker", "popen_loky_posix")
"""In the command line of what multiprocessing and joblib start once and end at the interpreter's exit."""

POOL_THREAD = "ExecutorManagerThread"
"""The thread of joblib's pool, which also stays for the next call."""

skipped_tests: list[str] = []

# Busy machines; no files left; all tests end within minutes, and find the same however often they run.
# Who looks for what nobody has found yet runs `make test ARGS=--hypothesis-profile=exploring`.
BUSY = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("everywhere", **BUSY, max_examples=50, derandomize=True)
settings.register_profile("exploring", **BUSY, max_examples=1000, derandomize=False)
settings.load_profile("everywhere")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*commands): skip unless the system has these commands")
    os.environ[MARK] = RUN
    # Tests start hundreds of processes; to compile all modules anew is half of what many of them do.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A shell's background job is born deaf to Ctrl-C, and so would be the processes that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and under nohup to the terminal's end
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Debian puts daemons where only root looks, and those of PostgreSQL where nobody does.
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    further = ["/usr/sbin", "/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    os.environ["PATH"] = os.pathsep.join([*path, *(d for d in further if d not in path)])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests and modules stay to the end: no search for garbage among them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The lessons first: they take longest, mostly in waits that other tests can fill."""
    items.sort(key=lambda item: "notebooks" not in item.path.parts)  # stable: else the order stays


def pytest_runtest_setup(item: pytest.Item) -> None:
    commands = [command for marker in item.iter_markers("needs") for command in marker.args]
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        packages = " ".join(DEBIAN_PACKAGE.get(command, command) for command in missing)
        pytest.skip(f"needs {', '.join(missing)}: apt-get install {packages}")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        skipped_tests.append(report.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        skipped_tests.append(report.nodeid)


def nothing_may_be_skipped() -> bool:
    return os.environ.get("PROXYTWIN_NOTHING_SKIPPED") == "1"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if skipped_tests and nothing_may_be_skipped() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skipped_tests and nothing_may_be_skipped():
        terminalreporter.section("skipped, but PROXYTWIN_NOTHING_SKIPPED=1", red=True)
        for test in skipped_tests:
            terminalreporter.write_line(test)


def of_this_run(process: psutil.Process) -> bool:
    try:
        if process.environ().get(MARK) != RUN:
            return False
        return not any(word in argument for argument in process.cmdline() for word in LIVES_AS_LONG_AS_PYTHON)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def processes_of_this_run() -> set[psutil.Process]:
    """Living processes that this run started, children of ended parents included."""
    return {process for process in psutil.process_iter() if of_this_run(process)} - {psutil.Process()}


def lasting_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon and thread.name != POOL_THREAD}


def still_alive(threads: set[threading.Thread]) -> list[threading.Thread]:
    for thread in threads:
        thread.join(SECONDS_TO_END)
    return [thread for thread in threads if thread.is_alive()]


@pytest.fixture(scope="module", autouse=True)
def leaves_nothing_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test file that leaves a process or a non-daemon thread behind, and end the process.

    A fixture that starts one is therefore of module scope at most.
    """
    processes, threads = processes_of_this_run(), lasting_threads()
    yield
    _, alive = psutil.wait_procs(processes_of_this_run() - processes, timeout=SECONDS_TO_END)
    left = [
        f"process {process.pid}: {' '.join(process.cmdline())}" for process in alive if process.is_running()
    ]
    for process in alive:
        process.kill()
    left += [f"thread {thread.name}" for thread in still_alive(lasting_threads() - threads)]
    if left:
        pytest.fail(f"{request.node.nodeid} leaves running: {'; '.join(left)}", pytrace=False)
