"""Grids of simulations: their cells, where they run, what is kept of them, and what is shown.

- `sweeping`: `sweep`, from start to end. Read it first.
- `grid`: the cells, every combination of the values that keys are given.
- `runners`: simulates cells on this machine's cores, or on a Dask cluster.
- `journal`: keeps what is finished on disk, so that a sweep goes on where it was stopped.
- `tables` and `plots`: what is shown of sweeps and curves.
- `curve`: hit ratio curves from a trace's file.

The process that calls `sweep` owns the journal and the table; those that simulate cells only return.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twin.sweeps.grid import read_vary
    from twin.sweeps.runners import SweepStopped
    from twin.sweeps.sweeping import journal_of, sweep

__all__ = ["SweepStopped", "journal_of", "read_vary", "sweep"]

_HOME = {"SweepStopped": "runners", "journal_of": "sweeping", "read_vary": "grid", "sweep": "sweeping"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: processes that only simulate cells do without pandas."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
