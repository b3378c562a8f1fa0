"""What an experiment is: its file, its random workload, and the records that it yields.

Both twins start from here, so that both see the same requests and answer in the same form.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scenarios.shipped import shipped_scenarios

if TYPE_CHECKING:
    from scenarios.loading import Variant, load_scenario, parse_scenario
    from scenarios.records import Records, Summary
    from scenarios.schema import Scenario
    from scenarios.workload import Request, Workload

__all__ = [
    "Records", "Request", "Scenario", "Summary", "Variant", "Workload",
    "load_scenario", "parse_scenario", "shipped_scenarios",
]  # fmt: skip

_HOME = {
    "Records": "records", "Request": "workload", "Scenario": "schema", "Summary": "records",
    "Variant": "loading", "Workload": "workload", "load_scenario": "loading", "parse_scenario": "loading",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: to list the scenarios takes no numpy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
