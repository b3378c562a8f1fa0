"""Real runs: the backends, the proxies and the users of a scenario, as processes on this machine.

There is a folder for each of three kinds of process. They exchange lines of JSON, and do not import each
other:

- `run`: starts and stops the others, and collects their measurements. Read `run.measure.Stage` first.
- `backend`: the process with the HTTP servers that do the demanded work.
- `users`: Locust's process, which replays a scenario's requests and times every response.

`peers` has the translators for other proxies than ours, which `run` starts.

Locust patches the standard library, so only its process imports it. `descriptors` raises the limit of open
files; `free_port` finds a port for a program that cannot choose one itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtests.run.measure import Measurement, Stage
    from loadtests.run.processes import LoadTestError

__all__ = ["LoadTestError", "Measurement", "Stage"]

_HOME = {"LoadTestError": "run.processes", "Measurement": "run.measure", "Stage": "run.measure"}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use, so that child processes load few modules and start quickly."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
