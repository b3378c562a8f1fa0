"""A simulation as formulas have it: a proxy and a network that cost nothing."""

from __future__ import annotations

from scenarios.loading import LoadedScenario
from simulator import Costs, Result, simulate


def simulated(loaded: LoadedScenario, runs: int = 1, variant: int = 0) -> Result:
    """One variant under a proxy and a network that cost nothing, as formulas have it."""
    return simulate(loaded.variants[variant].scenario, runs, costs=Costs.zero())
