"""What each worker process of a proxy is given."""

from __future__ import annotations


def worker_seed(seed: int, worker: int) -> int:
    """The seed of a worker's random numbers, far from the seeds of other runs and workers.

    Parameters
    ----------
    seed : int
        The proxy's.
    worker : int
        Number of the worker; number 0 uses the proxy's seed.
    """
    return seed + worker * 1_000_003
