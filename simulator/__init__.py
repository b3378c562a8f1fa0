"""Twin one: a SimPy model of clients, a proxy and backends. It predicts."""

from simulator.costs import Costs
from simulator.run import Result, simulate

__all__ = ["Costs", "Result", "simulate"]
