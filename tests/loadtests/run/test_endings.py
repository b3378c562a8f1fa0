"""Runs that something ends early: it is said, the next run works, and no process or file stays."""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtests import LoadTestError, Measurement, Stage
from loadtests.run.processes import Child
from loadtests.run.run_folder import RunFolder
from policies.bad_input import BadInput
from scenarios import Scenario, load_scenario

ROOT = Path(__file__).parents[3]
Reasons = Callable[[Measurement], list[str]]
Children = Callable[[], dict[psutil.Process, str]]


def scenario(seconds: float) -> Scenario:
    return load_scenario("slow-server", [f"duration={seconds}s", "warmup=0s"]).scenario


def during(stage: Stage, action: Any, seconds: float = 3.0) -> Measurement:
    """Measure, and do something when the run is half a second old."""
    done = threading.Event()

    def progress(passed: float, _total: float) -> None:
        if passed > 0.5 and not done.is_set():
            done.set()
            action()

    return stage.measure(scenario(seconds), progress=progress)


def test_a_proxy_that_dies_makes_the_run_void_without_a_wait(
    stage: Stage, by_rule: Reasons, children: Children
) -> None:
    def kill() -> None:
        (proxy,) = [child for child, line in children().items() if "loadtests.run.proxy_child" in line]
        proxy.kill()

    start = time.monotonic()
    run = during(stage, kill, seconds=60.0)
    assert run.void[0] == "the proxy ended (killed by SIGKILL) during the run"
    assert time.monotonic() - start < 40.0
    assert len(run.records) > 0
    assert by_rule(stage.measure(scenario(0.5))) == []


def test_a_generator_that_dies_is_an_error_and_the_next_run_has_a_new_one(
    stage: Stage, by_rule: Reasons
) -> None:
    def kill() -> None:
        assert stage._generator is not None
        os.kill(stage._generator.pid, signal.SIGKILL)

    with pytest.raises(LoadTestError, match=r"Locust ended \(killed by SIGKILL\)"):
        during(stage, kill)
    assert by_rule(stage.measure(scenario(0.5))) == []


def of_loadtests(children: Children) -> list[str]:
    """What this process has started of loadtests; a pool of another test file may live beside it."""
    return [line for line in children().values() if "loadtests" in line]


def test_an_interrupt_leaves_no_process_behind(stage: Stage, children: Children) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        during(stage, interrupt)
    assert of_loadtests(children) == []


def test_a_proxy_that_cannot_start_is_an_error_in_its_own_words(stage: Stage) -> None:
    shipped = scenario(0.5)
    proxy = shipped.proxy.model_copy(update={"listen": "127.0.0.1:0", "log": {"file": "/nowhere/access.log"}})
    with pytest.raises(
        LoadTestError, match=r"(?s)the proxy ended \(exit code 2\):.*/nowhere/access\.log|log"
    ):
        stage.measure(shipped.model_copy(update={"proxy": proxy}))


def test_a_trace_that_is_missing_is_the_users_mistake(stage: Stage) -> None:
    shipped = scenario(2.0)
    workload = shipped.workload.model_copy(update={"users": None, "trace": "/nowhere.csv"})
    with pytest.raises(BadInput, match=r"/nowhere\.csv: cannot be read"):
        stage.measure(shipped.model_copy(update={"workload": workload}))


def test_a_stage_that_is_left_leaves_no_file_and_no_process_behind(children: Children) -> None:
    before = of_loadtests(children)  # the stage of other tests may be open
    with Stage() as stage:
        folder = stage._folder
        assert folder.exists()
        until = time.monotonic() + 60.0
        while len(of_loadtests(children)) != len(before) + 1:  # a new one has no command line at first
            assert time.monotonic() < until
            time.sleep(0.01)
    assert not folder.exists()
    assert of_loadtests(children) == before


PARENT = """
import json, psutil
from loadtests import Stage
from scenarios import load_scenario

def tell(done, total):
    if done > 0.3:
        pids = [child.pid for child in psutil.Process().children(recursive=True)]
        print(json.dumps(pids), flush=True)

with Stage() as stage:
    stage.measure(load_scenario("slow-server").scenario, progress=tell)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_all_processes_end_when_their_parent_is_ended_during_a_run(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with Child("the parent", [sys.executable, "-c", PARENT], environment, ROOT) as parent:
        pids: Any = parent.expect(60.0)
        assert len(pids) == 3
        os.kill(parent.pid, number)
        assert parent.wait(60.0) != 0
    gone = time.monotonic() + 30.0
    while any(map(alive, pids)) and time.monotonic() < gone:
        time.sleep(0.02)
    assert [pid for pid in pids if alive(pid)] == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    RunFolder().close()  # a killed parent removes nothing, but the next one does
    assert list(tmp_path.iterdir()) == []


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
