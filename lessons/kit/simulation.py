"""A simulation for comparison with formulas: proxy and network cost nothing."""

from __future__ import annotations

from scenarios.loading import LoadedScenario
from simulator import Costs, Result, simulate


def simulated(loaded: LoadedScenario, runs: int = 1, variant: int = 0) -> Result:
    """Simulate one variant with a proxy and a network that cost nothing, as formulas assume."""
    return simulate(loaded.variants[variant].scenario, runs, costs=Costs.zero())
