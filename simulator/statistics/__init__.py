"""How far a simulation's figures can be trusted.

- `intervals` and `batch_means`: intervals from independent replications, or from one long run.
- `warmup` and `settling`: where a run's warm-up ends, and whether a queue settles at all.
- `paired`: differences under common random numbers.
- `omission`: what a load generator with too few connections hides.
- `averages`: summaries over replications.

Pure functions of arrays and records. None imports the model.
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
