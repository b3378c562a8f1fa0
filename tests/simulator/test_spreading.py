"""Calls in several processes: the same answers, and processes that only their parent ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import pytest

from simulator.spreading import WorkerDied, spread

SECONDS = 30.0
PARENT = """
import os, time
from simulator.spreading import spread

for pid in spread(os.getpid, [()] * 4, jobs=2):
    print(pid, flush=True)
    time.sleep(60)
"""


def halved(number: int) -> float:
    time.sleep(0.01 if number % 2 else 0)
    return number / 2


def blocked() -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("ordered", [True, False])
def test_answers_are_the_same_in_however_many_processes(jobs: int, ordered: bool) -> None:
    found = list(spread(halved, ((number,) for number in range(20)), jobs, ordered))
    assert sorted(found) == [number / 2 for number in range(20)]
    assert found == sorted(found) or not ordered


def test_workers_are_deaf_to_ctrl_c_and_their_parent_is_not() -> None:
    assert list(spread(blocked, [()] * 4, jobs=2)) == [{int(signal.SIGINT)}] * 4
    assert blocked() == set()


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(WorkerDied, match="perhaps it ran out of memory"):
        list(spread(killed, ((number,) for number in range(8)), jobs=2))


def test_a_killed_parent_takes_its_workers_along() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    end = select.poll()
    end.register(worker)
    try:
        assert end.poll(SECONDS * 1e3)
    finally:
        os.close(worker)
