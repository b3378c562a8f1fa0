"""Experiments: scenario files, their random workloads, and the records of a run.

The real proxy and the simulator both start from here, so they see the same requests and report in the
same form. Start with `schema` (what a scenario file contains) and `loading` (files, overrides and the
variants to compare). `workload` draws the requests from the scenario's seed, with `distributions`,
`profiles`, `latency` and `traces`; `records` and `fetches` hold the results. Everything here is plain
data: one process or thread owns a workload's streams, and a `Records` never changes.
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
    "Records": "records", "Request": "workload", "Scenario": "schema", "Summary": "summary",
    "Variant": "loading", "Workload": "workload", "load_scenario": "loading", "parse_scenario": "loading",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that listing the scenarios does not load numpy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
