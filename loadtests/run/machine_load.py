"""How many cores were busy during a run: with the run itself, and with other programs.

A request may be late for many reasons. This measurement says whether other programs are one of them, so that
a void run names no cause that nobody measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_COUNTERS = Path("/proc/stat")
_IDLE = (3, 4)
"""Places of the times without work, ``idle`` and ``iowait``, in the first line of the counters (proc(5))."""
_TIMES = 8
"""``user`` to ``steal``; the guests' times after them are already in ``user``."""


@dataclass(frozen=True)
class MachineLoad:
    """Busy cores, averaged over a run.

    Attributes
    ----------
    cores : int
        Cores of the machine.
    own : float
        Cores that the processes of the run used.
    others : float
        Cores that all other programs used, and those that a hypervisor gave to other machines.
    """

    cores: int
    own: float
    others: float

    def __str__(self) -> str:
        return (
            f"this run used {self.own:.1f} and other programs used {self.others:.1f} "
            f"of the machine's {self.cores} cores"
        )


class LoadMeter:
    """Measures a `MachineLoad` from its construction to the call of `read`.

    Parameters
    ----------
    own_seconds : callable
        The CPU seconds of each process of the run so far.
    counters : path
        The kernel's counters of all processors.
    """

    def __init__(self, own_seconds: Callable[[], list[float]], counters: Path = _COUNTERS) -> None:
        self._own_seconds, self._counters = own_seconds, counters
        self._before = (time.monotonic(), own_seconds(), self._busy_seconds())

    def read(self) -> MachineLoad | None:
        """The load so far; None where the kernel does not count it, or a process of the run has ended."""
        began, own_before, busy_before = self._before
        elapsed, own, busy = time.monotonic() - began, self._own_seconds(), self._busy_seconds()
        used = [after - before for before, after in zip(own_before, own, strict=False)]
        if busy is None or busy_before is None or elapsed <= 0 or min(used, default=0.0) < 0:
            return None
        of_run = sum(used)
        return MachineLoad(
            os.cpu_count() or 1, of_run / elapsed, max(busy - busy_before - of_run, 0.0) / elapsed
        )

    def _busy_seconds(self) -> float | None:
        try:
            first = self._counters.read_text(encoding="ascii").partition("\n")[0].split()
        except OSError:
            return None
        times = [int(ticks) for ticks in first[1 : 1 + _TIMES]]
        busy = sum(ticks for place, ticks in enumerate(times) if place not in _IDLE)
        return busy / os.sysconf("SC_CLK_TCK")
