"""Resilience: what a proxy does about upstreams that are slow, failing or overloaded. One file a decision."""

from policies.resilience.attempts import Attempts
from policies.resilience.breaker import CircuitBreaker
from policies.resilience.budget import RetryBudget
from policies.resilience.ejection import PassiveEjection
from policies.resilience.health import HealthChecks
from policies.resilience.membership import REASONS, Membership
from policies.resilience.precautions import Precautions, is_failure
from policies.resilience.queueing import BoundedQueue
from policies.resilience.rate import TokenBucket

__all__ = [
    "REASONS", "Attempts", "BoundedQueue", "CircuitBreaker", "HealthChecks", "Membership", "PassiveEjection",
    "Precautions", "RetryBudget", "TokenBucket", "is_failure",
]  # fmt: skip
