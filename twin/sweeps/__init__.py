"""Grids of simulations: their cells, where they run, what is kept of them, and what is shown."""

from twin.sweeps.grid import read_vary
from twin.sweeps.runners import SweepStopped
from twin.sweeps.sweeping import journal_of, sweep

__all__ = ["SweepStopped", "journal_of", "read_vary", "sweep"]
