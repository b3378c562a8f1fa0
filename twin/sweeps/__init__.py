"""Sweeps, grids of simulations, and hit ratio curves.

- `sweeping`: `sweep`, from start to end. Read it first.
- `grid`: the cells of a sweep: all combinations of the values of the varied keys.
- `runners`: simulates cells on this machine's cores, or on a Dask cluster.
- `journal`: keeps the results of finished cells on disk, so that a stopped sweep can continue.
- `tables` and `plots`: tables and figures of sweeps and curves.
- `curve`: hit ratio curves from a trace file.

The process that calls `sweep` owns the journal and the table. The processes that simulate cells only
return their results.
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
    """Load a public name at its first use, so that processes that simulate cells do not load pandas."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
