"""How far a simulation's figures can be trusted.

Intervals from independent replications and from the batches of one long run, where a run's warm-up
ends, differences under common random numbers, whether a queue settles at all, and what a load
generator with too few connections hides.
"""

from simulator.statistics.averages import mean_summary
from simulator.statistics.batch_means import BatchMeans, batch_means
from simulator.statistics.intervals import Estimate, estimate, student_t95
from simulator.statistics.omission import Omission, coordinated_omission
from simulator.statistics.paired import PairedDifference, paired_difference
from simulator.statistics.settling import Settled, settled
from simulator.statistics.warmup import Warmup, mser5, mser5_of_records

__all__ = [
    "BatchMeans", "Estimate", "Omission", "PairedDifference", "Settled", "Warmup",
    "batch_means", "coordinated_omission", "estimate", "mean_summary", "mser5", "mser5_of_records",
    "paired_difference", "settled", "student_t95",
]  # fmt: skip
