"""Several processes of one proxy: what each of them is given."""

from __future__ import annotations


def worker_seed(seed: int, worker: int) -> int:
    """The seed of one worker's chances, far from those of runs with the seeds that follow.

    Parameters
    ----------
    seed : int
        The proxy's.
    worker : int
        From 0, which has the proxy's own.
    """
    return seed + worker * 1_000_003
