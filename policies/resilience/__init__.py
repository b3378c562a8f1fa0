"""Resilience: what a proxy does about upstreams that are slow, failing or overloaded.

Start with `precautions`: all decisions for one service, in the order in which a request meets them:
`deadline` (what time is left), `rate` (a token bucket), `queueing` (requests in flight, with a limit of
`policies.concurrency`), `breaker`, then `attempts`, `budget` and `backoff` (retries). `health`, `ejection`
and `success_rate` judge the upstreams; `membership` combines the judgements and tells the balancer. Each
service owns one `Precautions` and calls it under its own lock.
"""

from policies.resilience import deadline
from policies.resilience.attempts import Attempts
from policies.resilience.backoff import backoff_delay
from policies.resilience.breaker import CircuitBreaker
from policies.resilience.budget import RetryBudget
from policies.resilience.ejection import PassiveEjection
from policies.resilience.health import HealthChecks
from policies.resilience.membership import REASONS, Membership
from policies.resilience.precautions import Precautions, is_failure
from policies.resilience.queueing import BoundedQueue
from policies.resilience.rate import TokenBucket
from policies.resilience.success_rate import SuccessRates, outliers

__all__ = [
    "REASONS", "Attempts", "BoundedQueue", "CircuitBreaker", "HealthChecks", "Membership", "PassiveEjection",
    "Precautions", "RetryBudget", "SuccessRates", "TokenBucket", "backoff_delay", "deadline", "is_failure",
    "outliers",
]  # fmt: skip
