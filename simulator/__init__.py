"""Twin one: a SimPy model of clients, a proxy and backends. It predicts."""

from simulator.costs import Costs
from simulator.run import Result, compare_paired, simulate

__all__ = ["Costs", "Result", "compare_paired", "simulate"]
