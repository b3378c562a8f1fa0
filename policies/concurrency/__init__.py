"""Concurrency limits: how many requests a service may have in flight at once, fixed or learned.

Start with `base`. `vegas` follows the delay, `aimd` follows failures and a threshold of latency, and `fixed`
never changes. `policies.resilience.BoundedQueue` asks the limit for every request.
"""

from policies.concurrency.aimd import Aimd
from policies.concurrency.base import (
    ConcurrencyLimit,
    Window,
    concurrency_limit,
    concurrency_limits,
    limit_rng,
)
from policies.concurrency.fixed import Fixed
from policies.concurrency.vegas import Vegas

__all__ = [
    "Aimd", "ConcurrencyLimit", "Fixed", "Vegas", "Window", "concurrency_limit", "concurrency_limits",
    "limit_rng",
]  # fmt: skip
