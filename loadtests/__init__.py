"""Real load: backends that do the work that requests ask for, and Locust users that replay a scenario.

Locust runs in a process of its own and is never imported here: it patches the standard library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtests.measure import Measurement, Stage
    from loadtests.processes import LoadTestError

__all__ = ["LoadTestError", "Measurement", "Stage"]

_HOME = {"LoadTestError": "processes", "Measurement": "measure", "Stage": "measure"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: child processes use few modules, and start quickly."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
