"""Faults that a route injects: one file a kind, each a class with one method, registered by its name.

Whether a fault strikes is `policies.reverse.faults`' decision; here is what it then does to a request.
"""

from realproxy.proxying.faults import bandwidth, error, half, latency, reset
from realproxy.proxying.faults.base import FaultTarget, inject

__all__ = ["FaultTarget", "bandwidth", "error", "half", "inject", "latency", "reset"]
