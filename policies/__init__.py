"""The decisions of a proxy and the schema of its settings, shared by the real proxy and the simulator.

The code is pure: it reads no clock, draws no random numbers of its own and opens no socket. Callers
hand in the time, a `random.Random` and the header fields. Only `settings` reads a file.

Start with `settings` (what a user can choose). Then read by subject: `http_cache` (RFC 9111),
`eviction` and `admission` (what stays in a cache), `balancing` and `resilience` (which upstream gets
a request, and what happens when it fails), `reverse` and `forward` (the two sides of the proxy).
`units`, `patterns`, `addresses`, `registry` and `bad_input` are the ground below them.

No object here locks itself: the real proxy calls it under a lock, the simulator has one thread.
"""

from policies.admission import Admission, admission_policies, admission_policy
from policies.bad_input import BadInput
from policies.balancing import Balancer, balancing_policies, balancing_policy
from policies.eviction import EvictionPolicy, eviction_policies, eviction_policy

__all__ = [
    "Admission", "BadInput", "Balancer", "EvictionPolicy", "admission_policies", "admission_policy",
    "balancing_policies", "balancing_policy", "eviction_policies", "eviction_policy",
]  # fmt: skip
