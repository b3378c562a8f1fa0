"""Real load: the backends, the proxies and the users of a scenario, as processes on this machine.

Three folders for three kinds of process; they exchange lines of JSON and import nothing of each other:

- `run`: starts and stops the others, and collects what they measured. Begin with `run.measure.Stage`.
- `backend`: the process with the HTTP servers that do the work that requests ask for.
- `users`: Locust's process, which replays a scenario's requests and times every response.

Locust patches the standard library, so only its own process imports it. `descriptors` raises the
limit of open files; `free_port` finds a port for a program that cannot choose one itself.
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
    """Load a public name when it is asked for: child processes use few modules, and start quickly."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
