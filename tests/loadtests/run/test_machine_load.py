"""The load of the machine during a run: how much is the run's own, and how much is of other programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtests.run import machine_load
from loadtests.run.machine_load import LoadMeter, MachineLoad

TICKS = os.sysconf("SC_CLK_TCK")


class Clock:
    """Replaces the module's clock."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(machine_load, "time", clock)
    monkeypatch.setattr(machine_load.os, "cpu_count", lambda: 4)
    return clock


def write(file: Path, **seconds: float) -> None:
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
    file.write_text(f"cpu  {' '.join(str(int(seconds.get(name, 0) * TICKS)) for name in names)}\ncpu0 1 1\n")


def test_what_is_not_the_runs_is_of_other_programs(tmp_path: Path, clock: Clock) -> None:
    counters, own = tmp_path / "stat", [1.0, 2.0]
    write(counters, user=50, idle=1000)
    meter = LoadMeter(lambda: list(own), counters)
    clock.now += 10
    own[:] = [4.0, 4.0]
    write(counters, user=60, nice=1, system=3, idle=1018, iowait=5, irq=1, softirq=1, steal=1, guest=7)
    load = meter.read()
    assert load is not None
    assert (load.cores, load.own, load.others) == (4, pytest.approx(0.5), pytest.approx(1.2))


def test_clocks_that_round_never_make_others_negative(tmp_path: Path, clock: Clock) -> None:
    counters, own = tmp_path / "stat", [0.0]
    write(counters, user=50)
    meter = LoadMeter(lambda: list(own), counters)
    clock.now += 10
    own[:] = [5.02]
    write(counters, user=55)
    assert meter.read() == MachineLoad(4, pytest.approx(0.502), 0.0)


def test_where_it_cannot_be_known_nothing_is_claimed(tmp_path: Path, clock: Clock) -> None:
    counters, own = tmp_path / "stat", [3.0]
    meter = LoadMeter(lambda: list(own), counters)
    clock.now += 10
    assert meter.read() is None, "no counters"
    write(counters, user=50)
    meter = LoadMeter(lambda: list(own), counters)
    clock.now += 10
    own[:] = [0.0]
    assert meter.read() is None, "a process of the run has ended, and its seconds with it"


def test_this_machine_is_never_busier_than_its_cores() -> None:
    meter = LoadMeter(lambda: [0.0])
    for number in range(10**6):
        number * number
    load = meter.read()
    assert load is None or 0 <= load.others <= load.cores * 1.5
