"""What both twins share about a proxy: its settings and the decisions it takes.

Pure: no I/O but reading a settings file, no clock, no chance but what is handed in.
"""

from policies.admission import Admission, admission_policies, admission_policy
from policies.bad_input import BadInput
from policies.balancing import Balancer, balancing_policies, balancing_policy
from policies.eviction import EvictionPolicy, eviction_policies, eviction_policy

__all__ = [
    "Admission", "BadInput", "Balancer", "EvictionPolicy", "admission_policies", "admission_policy",
    "balancing_policies", "balancing_policy", "eviction_policies", "eviction_policy",
]  # fmt: skip
