"""What every test may rely on, and what it must leave behind: nothing.

- ``@pytest.mark.needs("nginx", "wrk")`` skips a test, with the reason, where the system lacks a command.
- At the end of each test file no process that it started is alive, and no non-daemon thread.
- With ``PROXYTWIN_NOTHING_SKIPPED=1`` a run in which a test was skipped fails.
- Compiled modules are kept in ``__pycache__``, whatever ``PYTHONDONTWRITEBYTECODE`` says.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import itertools
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from scenarios.loading import LoadedScenario
    from twin.confirm.outcome import Confirmation

DEBIAN_PACKAGE = {
    "initdb": "postgresql", "nginx": "nginx-light", "node": "nodejs", "psql": "postgresql-client",
    "redis-cli": "redis-tools", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
    "sshd": "openssh-server", "varnishd": "varnish", "ip": "iproute2", "wg": "wireguard-tools",
    "setpriv": "util-linux",
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

BALANCING: dict[str, Any] = {
    "title": "Which balancer?",
    "seed": 3,
    "duration": "3s",
    "warmup": "500ms",
    "workload": {"users": 8, "think": "exponential(60ms)", "objects": 50, "size": "300"},
    "backend": {
        "web": {"replicas": 2, "concurrency": 2, "service_time": "erlang(10ms, 4)", "slow": {1: 3.0}}
    },
    "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
    "compare": {"proxy.service.web.balance": ["round_robin", "least_requests"]},
}
CACHING: dict[str, Any] = {
    **BALANCING,
    "title": "Which eviction policy?",
    "rank_by": "hit_ratio",
    "backend": {"web": {"cache_control": "max-age=60"}},
    "proxy": {
        "route": [{"to": "web", "cache": True}],
        "service": {"web": {"upstreams": "web"}},
        "cache": {"policy": "lru", "capacity": "10KiB", "overhead": "512B"},
    },
    "compare": {"proxy.cache.policy": ["fifo", "lru", "sieve"]},
}

skipped_tests: list[str] = []

# Busy machines; no files left; all tests end within minutes, and find the same however often they run.
# To search for new counterexamples, run `make test ARGS=--hypothesis-profile=exploring`.
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
    # Debian puts daemons on the PATH of root only, and those of PostgreSQL on no PATH.
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


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process runs whole files; two processes share the lessons, so that the third can fill their waits."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            lesson = re.search(r"\[(\d+)_", test) if "notebooks/" in file else None
            return file if lesson is None else f"{file} {int(lesson[1]) % 2}"

    return ByFile(config, log)


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


@pytest.fixture(scope="session")
def load() -> Callable[..., LoadedScenario]:
    """A small scenario with some of its top-level keys changed."""
    from scenarios import parse_scenario

    def loaded(data: dict[str, Any] = BALANCING, **changes: Any) -> LoadedScenario:
        return parse_scenario({**copy.deepcopy(data), **changes}, name="small")

    return loaded


@pytest.fixture(scope="session")
def confirmation() -> Callable[..., Confirmation]:
    """What `confirm` would find if the real system were the model, with backends `slower` by some seconds."""
    from simulator import Costs, simulate
    from twin.confirm import compare
    from twin.confirm.outcome import Calibration, Confirmation, VariantOutcome

    def confirmed(
        loaded: LoadedScenario, *, slower: float = 0.0, void: list[str] | None = None
    ) -> Confirmation:
        true = replace(Costs(), service_extra=Costs().service_extra + slower)
        said = [simulate(variant.scenario, costs=Costs()).runs[0] for variant in loaded.variants]
        seen = [simulate(variant.scenario, costs=true).runs[0] for variant in loaded.variants]
        noise = compare.noise_floor([[run.summary, run.summary] for run in seen])
        outcomes = []
        for variant, one, other in zip(loaded.variants, said, seen, strict=True):
            apart = compare.difference(one.summary, other.summary)
            window = variant.scenario.window
            outcomes.append(
                VariantOutcome(
                    variant,
                    one.summary,
                    other.summary,
                    apart,
                    "void" if void else compare.verdict(apart, noise),
                    one.records.within(window),
                    other.records.within(window),
                    void=void or [],
                )
            )
        rankings = {
            metric: compare.ranking(
                compare.intervals([[run.summary] * 2 for run in said], metric),
                compare.intervals([[run.summary] * 2 for run in seen], metric),
                metric,
            )
            for metric in dict.fromkeys(["p99_ms", loaded.scenario.rank_by])
        }
        calibration = Calibration(Costs(), {"miss": 289, "hit": 296})
        return Confirmation(loaded.name, loaded.scenario, calibration, outcomes, noise, rankings, void or [])

    return confirmed


@pytest.fixture(scope="session")
def balancing() -> dict[str, Any]:
    return BALANCING


@pytest.fixture(scope="session")
def caching() -> dict[str, Any]:
    return CACHING


@pytest.fixture(scope="session")
def own_class() -> Callable[..., AbstractContextManager[str]]:
    """`with own_class("balancing", "def pick(self, key, now): return 0") as file:` registers it as "mine".

    The class `Mine` has this body from line 2 of `file` on, as a student's own would.
    """
    from policies import (
        Admission,
        Balancer,
        EvictionPolicy,
        admission_policies,
        balancing_policies,
        eviction_policies,
    )

    families = {
        "balancing": (Balancer, balancing_policies),
        "eviction": (EvictionPolicy, eviction_policies),
        "admission": (Admission, admission_policies),
    }
    numbers = itertools.count()

    @contextlib.contextmanager
    def made(family: str, body: str, name: str = "mine") -> Iterator[str]:
        base, registry = families[family]
        before = dict(registry._classes)
        source = f"class Mine({base.__name__}):\n{textwrap.indent(body.strip(), '    ')}\n"
        file = f"/students/own_{next(numbers)}.py"
        scope = {base.__name__: base, "__name__": "students_own"}
        exec(compile(source, file, "exec"), scope)
        try:
            registry.register(name)(scope["Mine"])
            yield file
        finally:
            registry._classes.clear()
            registry._classes.update(before)

    return made
